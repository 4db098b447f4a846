(() => {
  "use strict";
  /* Running operations ask for their progress every second, while somebody looks. */
  window.setInterval(() => { if (!document.hidden) document.body.dispatchEvent(new CustomEvent("ca:tick")); }, 1000);

  /* How an operation ended is told to those who listen too, in a place that stays when the rest is drawn anew. */
  const said = document.getElementById("ca-said");
  let over = false;
  document.body.addEventListener("ca:operation-over", () => { over = true; });
  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (!over || !said) return;
    over = false;
    const parts = event.detail.target.querySelectorAll(".ca-sentence, .ca-verdict, .ca-result");
    said.textContent = [...parts].map((part) => part.textContent.trim()).filter(Boolean).join(" ");
  });

  /* A row that opens in place closes with a second click; htmx only opens. */
  const detailOf = (link) => link.closest("tr").nextElementSibling?.querySelector(".ca-detail");
  document.addEventListener("click", (event) => {
    const link = event.target.closest(".ca-open");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (link.getAttribute("aria-expanded") !== "true") { link.setAttribute("aria-expanded", "true"); return; }
    event.preventDefault();
    event.stopPropagation();
    link.setAttribute("aria-expanded", "false");
    detailOf(link).replaceChildren();
  }, true);

  /* A table that is drawn anew keeps its opened rows (hx-preserve), so their links must say that they are open. */
  document.body.addEventListener("htmx:afterSwap", () => {
    document.querySelectorAll(".ca-open").forEach((link) => {
      if (detailOf(link)?.hasChildNodes()) link.setAttribute("aria-expanded", "true");
    });
  });
})();
