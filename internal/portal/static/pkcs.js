// Certificate requests (PKCS #10, RFC 2986) and files of key and chain (PKCS #12, RFC 7292)
// with what the browser has: WebCrypto and a little DER. The private key stays here.
"use strict";

globalThis.pkcs = (() => {
  const utf8 = (text) => new TextEncoder().encode(text);

  // DER (X.690)
  function cat(...parts) {
    const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
    let at = 0;
    for (const p of parts) {
      out.set(p, at);
      at += p.length;
    }
    return out;
  }
  function tlv(tag, ...parts) {
    const content = cat(...parts), n = content.length, length = [];
    if (n < 128) length.push(n);
    else {
      for (let rest = n; rest > 0; rest = Math.floor(rest / 256)) length.unshift(rest % 256);
      length.unshift(0x80 | length.length);
    }
    return cat([tag], length, content);
  }
  const seq = (...parts) => tlv(0x30, ...parts);
  const set = (...parts) => tlv(0x31, ...parts);
  const octets = (...parts) => tlv(0x04, ...parts);
  const bits = (bytes) => tlv(0x03, [0], bytes);
  const nothing = tlv(0x05);
  const context = (n, ...parts) => tlv(0xa0 | n, ...parts);
  // An unsigned integer of big-endian bytes, or of a small number.
  function integer(value) {
    let bytes = typeof value === "number" ? [] : Array.from(value);
    if (typeof value === "number") for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
    while (bytes.length > 1 && bytes[0] === 0) bytes.shift();
    if (bytes.length === 0) bytes = [0];
    if (bytes[0] & 0x80) bytes.unshift(0);
    return tlv(0x02, bytes);
  }
  function oid(text) {
    const [a, b, ...rest] = text.split(".").map(Number), out = [a * 40 + b];
    for (const n of rest) {
      const part = [n & 0x7f];
      for (let m = Math.floor(n / 128); m > 0; m = Math.floor(m / 128)) part.unshift(0x80 | (m & 0x7f));
      out.push(...part);
    }
    return tlv(0x06, out);
  }
  // UTF-16, big-endian
  function bmp(text) {
    const out = new Uint8Array(text.length * 2);
    for (let i = 0; i < text.length; i++) {
      out[2 * i] = text.charCodeAt(i) >> 8;
      out[2 * i + 1] = text.charCodeAt(i) & 0xff;
    }
    return out;
  }

  // PEM (RFC 7468)
  function pem(label, der) {
    let binary = "";
    for (const b of der) binary += String.fromCharCode(b);
    return `-----BEGIN ${label}-----\n${btoa(binary).replace(/.{1,64}/g, "$&\n")}-----END ${label}-----\n`;
  }
  function unpem(text) {
    const binary = atob(text.replace(/-----[^-]+-----|\s/g, ""));
    return Uint8Array.from(binary, (c) => c.charCodeAt(0));
  }

  // makeKey makes a key pair: "P-256", or "RSA" of 3072 bits.
  function makeKey(kind) {
    const algorithm = kind === "RSA"
      ? { name: "RSASSA-PKCS1-v1_5", modulusLength: 3072, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" }
      : { name: "ECDSA", namedCurve: "P-256" };
    return crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  }

  // certificateRequest makes a request, in DER, for DNS names in ASCII.
  async function certificateRequest(keys, names) {
    const rsa = keys.privateKey.algorithm.name !== "ECDSA";
    const spki = new Uint8Array(await crypto.subtle.exportKey("spki", keys.publicKey));
    const alternatives = seq(...names.map((name) => tlv(0x82, utf8(name))));
    const extensions = seq(seq(oid("2.5.29.17"), octets(alternatives)));
    const info = seq(integer(0), seq(), spki, context(0, seq(oid("1.2.840.113549.1.9.14"), set(extensions))));
    let signature = new Uint8Array(await crypto.subtle.sign(rsa ? "RSASSA-PKCS1-v1_5" : { name: "ECDSA", hash: "SHA-256" }, keys.privateKey, info));
    if (!rsa) signature = seq(integer(signature.subarray(0, 32)), integer(signature.subarray(32)));
    return seq(info, rsa ? seq(oid("1.2.840.113549.1.1.11"), nothing) : seq(oid("1.2.840.10045.4.3.2")), bits(signature));
  }

  const privateKey = async (keys) => new Uint8Array(await crypto.subtle.exportKey("pkcs8", keys.privateKey));

  // encrypt is PBES2 (RFC 8018) with PBKDF2, HMAC with SHA-256, and AES-256 in CBC mode.
  async function encrypt(password, data) {
    const iterations = 200000, salt = crypto.getRandomValues(new Uint8Array(16)), iv = crypto.getRandomValues(new Uint8Array(16));
    const base = await crypto.subtle.importKey("raw", utf8(password), "PBKDF2", false, ["deriveKey"]);
    const key = await crypto.subtle.deriveKey({ name: "PBKDF2", hash: "SHA-256", salt, iterations }, base, { name: "AES-CBC", length: 256 }, false, ["encrypt"]);
    const algorithm = seq(oid("1.2.840.113549.1.5.13"), seq(
      seq(oid("1.2.840.113549.1.5.12"), seq(octets(salt), integer(iterations), seq(oid("1.2.840.113549.2.9"), nothing))),
      seq(oid("2.16.840.1.101.3.4.1.42"), octets(iv))));
    return { algorithm, data: new Uint8Array(await crypto.subtle.encrypt({ name: "AES-CBC", iv }, key, data)) };
  }

  // macKey is the key of the integrity check (RFC 7292 appendix B.2, for SHA-256 and ID 3),
  // which is as long as one hash.
  async function macKey(password, salt, iterations) {
    const fill = (bytes) => Uint8Array.from({ length: 64 * Math.ceil(bytes.length / 64) }, (_, i) => bytes[i % bytes.length]);
    let hash = cat(new Uint8Array(64).fill(3), fill(salt), fill(cat(bmp(password), [0, 0])));
    for (let i = 0; i < iterations; i++) hash = new Uint8Array(await crypto.subtle.digest("SHA-256", hash));
    return hash;
  }

  // bundle makes a PKCS #12 file of a key in PKCS #8, and of certificates in DER, its own
  // first.
  async function bundle(password, name, key, certificates) {
    const data = oid("1.2.840.113549.1.7.1");
    const id = new Uint8Array(await crypto.subtle.digest("SHA-256", certificates[0])).subarray(0, 20);
    const attributes = set(seq(oid("1.2.840.113549.1.9.20"), set(tlv(0x1e, bmp(name)))), seq(oid("1.2.840.113549.1.9.21"), set(octets(id))));
    const bags = certificates.map((c, i) => seq(oid("1.2.840.113549.1.12.10.1.3"),
      context(0, seq(oid("1.2.840.113549.1.9.22.1"), context(0, octets(c)))), i === 0 ? attributes : []));
    const sealed = await encrypt(password, seq(...bags)), shrouded = await encrypt(password, key);
    const safe = seq(
      seq(oid("1.2.840.113549.1.7.6"), context(0, seq(integer(0), seq(data, sealed.algorithm, tlv(0x80, sealed.data))))),
      seq(data, context(0, octets(seq(seq(oid("1.2.840.113549.1.12.10.1.2"), context(0, seq(shrouded.algorithm, octets(shrouded.data))), attributes))))));
    const iterations = 20000, salt = crypto.getRandomValues(new Uint8Array(16));
    const check = await crypto.subtle.importKey("raw", await macKey(password, salt, iterations), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    const mac = new Uint8Array(await crypto.subtle.sign("HMAC", check, safe));
    return seq(integer(3), seq(data, context(0, octets(safe))),
      seq(seq(seq(oid("2.16.840.1.101.3.4.2.1"), nothing), octets(mac)), octets(salt), integer(iterations)));
  }

  return { makeKey, certificateRequest, privateKey, bundle, pem, unpem };
})();
