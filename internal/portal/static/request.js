// The page of a certificate without ACME: makes the key here, asks for the certificate by
// fetch, so that the page with the key is not left, and has both saved.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const browser = $("browser"), form = $("request"), texts = browser.dataset;
  let made = null; // keys and what the server sent
  let saved = true;
  let keys = null, wanted = ""; // the key of a request that is not answered yet

  // In ASCII, as certificates have them.
  function canonical(name) {
    try {
      return new URL("https://" + name).hostname;
    } catch {
      return name;
    }
  }

  // say tells what is wrong; what the server says is in English.
  function say(lines, language) {
    const list = document.createElement("ul");
    for (const line of lines) {
      const item = document.createElement("li");
      item.textContent = line;
      if (language) item.lang = language;
      list.append(item);
    }
    $("browser-wrong").replaceChildren(...(lines.length ? [list] : []));
    $("browser-wrong").className = lines.length ? "note bad" : "";
    $("names").setAttribute("aria-invalid", lines.length ? "true" : "false");
  }

  function offer(link, name, parts, type) {
    link.href = URL.createObjectURL(new Blob(parts, { type }));
    link.download = name;
  }

  async function make() {
    const names = $("names").value.split(/[\s,;]+/).filter((n) => n !== "").map(canonical);
    if (names.length === 0) return say([texts.noNames]);
    const kind = $("kind").value, want = kind + " " + names.join(" ");
    if (want !== wanted) keys = null; // what was asked for before, and not answered, is asked for again with its key
    keys ??= await pkcs.makeKey(kind);
    wanted = want;
    const body = new FormData();
    for (const field of ["csrf", "token", "choice"]) body.set(field, form.elements[field].value);
    body.set("csr", pkcs.pem("CERTIFICATE REQUEST", await pkcs.certificateRequest(keys, names)));
    const response = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
    if (!(response.headers.get("Content-Type") || "").startsWith("application/json")) throw new Error(response.status);
    const answer = await response.json();
    if (answer.token) form.elements.token.value = answer.token;
    if (!response.ok) return say(answer.names.length ? answer.names.map((n) => `${n.name}: ${n.reason}`) : [answer.reason], "en");
    await show(answer);
  }

  async function show(answer) {
    made = { answer, key: await pkcs.privateKey(keys) };
    saved = false;
    offer($("save-key"), answer.file + "-key.pem", [pkcs.pem("PRIVATE KEY", made.key)], "application/x-pem-file");
    offer($("save-chain"), answer.file + "-chain.pem", [answer.certificate, ...answer.chain], "application/x-pem-file");
    $("show").href = answer.page;
    form.hidden = true;
    $("made").hidden = false;
    $("made").focus();
  }

  $("save-key").addEventListener("click", () => { saved = true; });
  $("make").addEventListener("click", async (event) => {
    const button = event.currentTarget;
    say([]);
    button.disabled = true;
    $("progress").textContent = texts.working;
    try {
      await make();
    } catch {
      say([texts.failed]);
    }
    $("progress").textContent = "";
    button.disabled = false;
  });

  $("save-p12").addEventListener("click", async () => {
    const password = $("password").value, wrong = password.length < 8;
    $("password-wrong").hidden = !wrong;
    $("password-wrong").textContent = wrong ? texts.noPassword : "";
    $("password").setAttribute("aria-invalid", wrong ? "true" : "false");
    if (wrong) return $("password").focus();
    const certificates = [made.answer.certificate, ...made.answer.chain].map(pkcs.unpem);
    const link = document.createElement("a");
    offer(link, made.answer.file + ".p12", [await pkcs.bundle(password, made.answer.file, made.key, certificates)], "application/x-pkcs12");
    link.click();
    saved = true;
  });

  addEventListener("beforeunload", (event) => {
    if (!saved) event.preventDefault();
  });
})();
