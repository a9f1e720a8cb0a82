import type { Component } from "svelte";
import About from "./pages/About.svelte";
import Dashboard from "./pages/Dashboard.svelte";
import Devices from "./pages/Devices.svelte";
import Home from "./pages/Home.svelte";
import Lab from "./pages/Lab.svelte";
import NotFound from "./pages/NotFound.svelte";
import Pharmacy from "./pages/Pharmacy.svelte";
import SignIn from "./pages/SignIn.svelte";
import SignUp from "./pages/SignUp.svelte";
import Storage from "./pages/Storage.svelte";

export interface Route {
  readonly path: string;
  readonly label: string;
  readonly page: Component;
  /** Who finds it in the navigation: all, only who is signed out, or only who is signed in. Absent: nobody. */
  readonly nav?: "all" | "out" | "in";
  /** Whether it is for those who are signed in; the others are sent to sign in first. */
  readonly members?: true;
}

/** The pages, in the order of the navigation. */
export const routes: readonly Route[] = [
  { path: "/", label: "Home", page: Home, nav: "all" },
  { path: "/pharmacy", label: "Pharmacy", page: Pharmacy, nav: "all" },
  { path: "/storage", label: "Storage", page: Storage, nav: "all" },
  { path: "/lab", label: "Lab", page: Lab, nav: "all" },
  { path: "/about", label: "About", page: About, nav: "all" },
  { path: "/dashboard", label: "Dashboard", page: Dashboard, nav: "in", members: true },
  { path: "/devices", label: "Devices", page: Devices, nav: "in", members: true },
  { path: "/login", label: "Sign in", page: SignIn, nav: "out" },
  { path: "/register", label: "Sign up", page: SignUp },
];

const notFound: Route = { path: "", label: "Not found", page: NotFound };

export function routeFor(path: string): Route {
  return routes.find((route) => route.path === path) ?? notFound;
}
