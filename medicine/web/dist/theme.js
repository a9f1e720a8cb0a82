// Puts the theme that the visitor chose on the document before anything is painted.
// Without a choice the attribute is absent, and the style sheet follows the system.
try {
  const theme = localStorage.getItem("medicine-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage can be forbidden; the system's choice holds then.
}
