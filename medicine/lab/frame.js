"use strict";
// The attacks of a foreign page, really sent. This page has an opaque origin:
// the browser sends its requests with "Origin: null" and "Sec-Fetch-Site:
// cross-site", and without cookies that are SameSite=Lax.
(async () => {
	const forgery = { attack: "forgery", read: null, error: "" };
	try {
		// What a page may send anywhere without asking first (Fetch, no-cors).
		const answer = await fetch("/pills", {
			method: "POST", mode: "no-cors", credentials: "include",
			headers: { "Content-Type": "text/plain" }, body: '{"name":"Forged"}',
		});
		if (answer.type === "opaque") forgery.error = "The request was sent. The browser keeps its answer from this page.";
		else forgery.read = await answer.text();
	} catch (e) {
		forgery.error = String(e);
	}
	report(forgery);

	const foreign = { attack: "foreign", read: null, error: "" };
	try {
		const answer = await fetch("/pills", { credentials: "include" });
		foreign.read = await answer.text();
	} catch (e) {
		foreign.error = String(e);
	}
	report(foreign);

	function report(outcome) {
		const line = document.createElement("li");
		line.textContent = `${outcome.attack === "forgery" ? "Adding a pill" : "Reading the pills"}: ${outcome.read === null ? outcome.error : "This page read: " + outcome.read}`;
		document.getElementById("report").append(line);
		// location.origin is that of the address, although this page's own is
		// opaque: only a page of the application is told.
		if (parent !== window) parent.postMessage(outcome, location.origin);
	}
})();
