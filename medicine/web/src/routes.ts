import type { Component } from "svelte";
import About from "./pages/About.svelte";
import Home from "./pages/Home.svelte";
import NotFound from "./pages/NotFound.svelte";
import Pharmacy from "./pages/Pharmacy.svelte";

export interface Route {
  readonly path: string;
  readonly label: string;
  readonly page: Component;
}

/** The pages, in the order of the navigation. */
export const routes: readonly Route[] = [
  { path: "/", label: "Home", page: Home },
  { path: "/pharmacy", label: "Pharmacy", page: Pharmacy },
  { path: "/about", label: "About", page: About },
];

const notFound: Route = { path: "", label: "Not found", page: NotFound };

export function routeFor(path: string): Route {
  return routes.find((route) => route.path === path) ?? notFound;
}
