import "./styles/tokens.css";
import "./styles/base.css";
import { mount } from "svelte";
import App from "./App.svelte";
import { flash } from "./lib/flash.js";
import { live } from "./lib/live.svelte.js";
import { pharmacy } from "./lib/pharmacy.svelte.js";
import { session } from "./lib/resource.svelte.js";
import { visitor } from "./lib/visitor.svelte.js";

flash.take();
session.want();
live.start(
  (state) => visitor.follow(state),
  (state) => pharmacy.follow(state),
);

mount(App, { target: document.getElementById("app")! });
