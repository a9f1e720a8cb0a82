// What the tests know a page by: what a person sees of it, or hears from a
// screen reader. Each script that they evaluate begins with this file.

const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const clean = (text) => text.replace(/\s+/g, " ").trim();

// Not by innerText: that is late in a tab behind another.
const texts = (within) => {
	const walker = document.createTreeWalker(within, NodeFilter.SHOW_TEXT);
	const found = [];
	while (walker.nextNode()) {
		const { data, parentElement: parent } = walker.currentNode;
		if (data.trim() && !["SCRIPT", "STYLE", "NOSCRIPT"].includes(parent.tagName) && parent.checkVisibility({ visibilityProperty: true })) found.push(data);
	}
	return clean(found.join(" "));
};
/** All the text that shows, without what an element that is closed or hidden holds. */
const seen = (within = document.body) => (within ? texts(within) : "");
const says = (text, within) => seen(within).includes(text);

// The first of what gives a name, as browsers have it: for as much of it as the pages use.
const nameOf = (e) => {
	const by = e.getAttribute("aria-labelledby");
	if (by) return clean(by.split(/\s+/).map((id) => document.getElementById(id)?.textContent ?? "").join(" "));
	const label = e.getAttribute("aria-label");
	if (label) return clean(label);
	if (e.labels?.length) return clean([...e.labels].map((l) => l.textContent).join(" "));
	return clean(e.textContent);
};
const fits = (name, wanted) => (wanted instanceof RegExp ? wanted.test(name) : name === wanted);
const pick = (selector, name, within) =>
	within === null ? undefined : all(selector, within ?? document).find((e) => fits(nameOf(e), name) && e.checkVisibility({ visibilityProperty: true }));

const button = (name, within) => pick("button, [role=button], input[type=submit]", name, within);
const link = (name, within) => pick("a[href]", name, within);
const labelled = (name, within) => pick("input, select, textarea", name, within);
const heading = (name, within) => pick("h1, h2, h3, h4", name, within);
const h1 = () => all("h1").filter((e) => e.checkVisibility()).map((e) => clean(e.textContent)).join(" | ");
const section = (title) => all("section").find((s) => s.querySelector("h2") && fits(clean(s.querySelector("h2").textContent), title));
/** The smallest element among those of selector that shows this text. */
const around = (selector, text) =>
	all(selector).filter((e) => e.checkVisibility() && (text instanceof RegExp ? text.test(seen(e)) : says(text, e))).sort((a, b) => a.textContent.length - b.textContent.length)[0] ?? null;

/** What is said to be wrong with a field, or "" if nothing is. */
const wrong = (field) =>
	field?.getAttribute("aria-invalid") === "true"
		? clean((field.getAttribute("aria-describedby") ?? "").split(/\s+/).map((id) => (id ? seen(document.getElementById(id)) : "")).join(" "))
		: "";

// The name of the medicine, on Pharmacy.
const field = () => document.querySelector("input[name=name]");
/** How many pills the page says there are, or -1 while it does not know. */
const shown = () => {
	const text = clean(section("Your pills")?.textContent ?? "");
	if (text.includes("The tray is empty")) return 0;
	const count = text.match(/([\d,]+) pills?/);
	return Number(count?.[1].replaceAll(",", "")) || -1;
};
