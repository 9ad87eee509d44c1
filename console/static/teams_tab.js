"use strict";

// Asks Teams who is there, and shows what the server says is theirs. Whatever comes from the server
// is a page of ours, escaped as it was made, and the page's policy lets nothing else run.
(() => {
  const main = document.querySelector("main");

  const only = (shown) => {
    for (const part of main.querySelectorAll(":scope > section")) part.hidden = part.id !== shown;
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
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    main.className = page.querySelector("main").className;
    main.replaceChildren(...page.querySelector("main").childNodes);
    // Pages of ours show in no frame: links lead to the browser.
    for (const link of main.querySelectorAll("a")) {
      link.target = "_blank";
      link.rel = "noopener noreferrer";
    }
  };

  const asking = async (path, method) => {
    const before = [...main.childNodes];
    try {
      await ask(path, method);
    } catch {
      main.replaceChildren(...before);
      only("failed");
    }
  };

  const begin = async () => {
    if (!window.microsoftTeams) return;
    only("asking");
    try {
      await microsoftTeams.app.initialize();
    } catch {
      only("outside");
      return;
    }
    await asking(main.querySelector("[data-view]").dataset.view, "GET");
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-path]");
    if (button) asking(button.dataset.path, button.dataset.method);
  });
  begin();
})();
