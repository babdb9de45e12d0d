// A click on the sign behind a heading, or on the id of a claim, also copies its address.
document.addEventListener("click", async event => {
  const link = event.target.closest("a.headerlink, a.claim-id")
  if (!link || !navigator.clipboard) return
  await navigator.clipboard.writeText(link.href)
  const note = document.createElement("span")
  note.className = "copied"
  note.setAttribute("role", "status")
  note.textContent = "link copied"
  link.after(note)
  setTimeout(() => note.remove(), 2000)
})
