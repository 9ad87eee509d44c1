"use strict";

// Asks Teams who is there, and shows what the server says is theirs. Whatever comes from the server
// is a page of ours, escaped as it was made, and the page's policy lets nothing else run.
(() => {
  const main = document.querySelector("main");
  const parts = Object.fromEntries([...main.children].map((part) => [part.id, part]));

  const show = (name) => {
    parts[name].hidden = false;
    main.replaceChildren(parts[name]);
  };

  const ask = async (path, method) => {
    const token = await microsoftTeams.authentication.getAuthToken();
    const answer = await fetch(path, {
      method,
      headers: { authorization: `Bearer ${token}` },
      credentials: "omit",
      cache: "no-store",
      redirect: "error",
    });
    const html = await answer.text();
    const page = new DOMParser().parseFromString(html, "text/html").querySelector("main");
    main.className = page.className;
    main.replaceChildren(...page.childNodes);
    // Pages of ours show in no frame: links lead to the browser.
    for (const link of main.querySelectorAll("a")) {
      link.target = "_blank";
      link.rel = "noopener noreferrer";
    }
  };

  const asking = async (path, method) => {
    try {
      await ask(path, method);
    } catch {
      show("failed");
    }
  };

  const begin = async () => {
    if (!window.microsoftTeams) return;
    show("asking");
    try {
      await microsoftTeams.app.initialize();
    } catch {
      show("outside");
      return;
    }
    await asking(parts.outside.dataset.view, "GET");
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-path]");
    if (button) asking(button.dataset.path, button.dataset.method);
  });
  begin();
})();
