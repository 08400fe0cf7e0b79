// A client of the Nexus Movie API in one file: requests, tokens, errors. Copy it into your own app.

const STORAGE_KEY = "nexus-tokens";

/** A response that is not 2xx, or no response at all (status 0). `code` is stable, `message` is for people. */
export class ApiError extends Error {
  constructor(status, problem, retryAfter = null) {
    super(problem.detail || problem.title || `The server responded with ${status}.`);
    this.status = status;
    this.code = problem.code || "";
    this.retryAfter = retryAfter;
  }
}

/** Sends requests. Announces each as a `call` event and the end of the session as `signedout`. */
export class Api extends EventTarget {
  #refreshing = null;

  /** Tokens live as long as the tab: another site, or the next visitor, cannot read them. */
  get tokens() {
    return JSON.parse(sessionStorage.getItem(STORAGE_KEY) || "null");
  }

  set tokens(value) {
    if (value) sessionStorage.setItem(STORAGE_KEY, JSON.stringify(value));
    else sessionStorage.removeItem(STORAGE_KEY);
  }

  get isSignedIn() {
    return this.tokens !== null;
  }

  /** Create a guest account and keep its tokens. */
  async startAsGuest() {
    const { user, access, refresh } = await this.send("POST", "/auth/guest/");
    this.tokens = { access, refresh };
    return user;
  }

  /** End the session here, and at the server if it can be reached. */
  async signOut() {
    const tokens = this.tokens;
    this.tokens = null;
    if (tokens) await this.send("POST", "/auth/logout/", { refresh: tokens.refresh }).catch(() => {});
  }

  /** GET without a token: the response is public and may come from a cache. */
  getPublic(path) {
    return this.send("GET", path);
  }

  get(path) {
    return this.#sendSigned("GET", path);
  }

  post(path, body) {
    return this.#sendSigned("POST", path, body);
  }

  put(path, body) {
    return this.#sendSigned("PUT", path, body);
  }

  delete(path) {
    return this.#sendSigned("DELETE", path);
  }

  /** Send with the access token. When it has expired, refresh it and send once more. */
  async #sendSigned(method, path, body) {
    try {
      return await this.send(method, path, body, this.tokens?.access);
    } catch (error) {
      if (error.status !== 401 || !this.isSignedIn) throw error;
    }
    await this.#refresh();
    return this.send(method, path, body, this.tokens?.access);
  }

  /** Exchange the refresh token. Requests that fail together wait for one exchange. */
  #refresh() {
    this.#refreshing ??= this.send("POST", "/auth/token/refresh/", { refresh: this.tokens.refresh })
      .then(({ access, refresh }) => {
        this.tokens = { access, refresh };
      })
      .catch((error) => {
        if (error.status === 401) {
          this.tokens = null;
          this.dispatchEvent(new CustomEvent("signedout", { detail: error }));
        }
        throw error;
      })
      .finally(() => {
        this.#refreshing = null;
      });
    return this.#refreshing;
  }

  /** Send one request and return the parsed body, or throw an ApiError. */
  async send(method, path, body, access) {
    const headers = { Accept: "application/json" };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (access) headers.Authorization = `Bearer ${access}`;
    const started = performance.now();
    let response;
    try {
      response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
    } catch {
      throw new ApiError(0, { detail: "The server cannot be reached. Check the connection and try again." });
    }
    const call = { method, path, status: response.status, ms: Math.round(performance.now() - started) };
    this.dispatchEvent(new CustomEvent("call", { detail: call }));
    // A proxy between here and the API may respond with a page of its own, and 204 has no body.
    const data = await response.json().catch(() => ({}));
    if (!response.ok) throw new ApiError(response.status, data, response.headers.get("Retry-After"));
    return data;
  }
}
