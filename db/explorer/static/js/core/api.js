// The JSON interface: one function per question would repeat its documentation, so there is one for all.

export const ROOT = document.documentElement.dataset.root ?? "";
const BASE = `${ROOT}/api/v1/`;

/** An answer that is no result: `position` points into the filter where the server knows it. */
export class ApiError extends Error {
  constructor(message, status, position = null) {
    super(message);
    this.status = status;
    this.position = position;
  }
}

/** The address of a question; parameters that are empty are left out. */
export function address(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, value);
  }
  const text = query.toString();
  return BASE + path + (text ? `?${text}` : "");
}

/** Asks the JSON interface; raises ApiError with the server's own sentence. */
export async function ask(path, parameters = {}, signal = undefined) {
  let answer;
  try {
    answer = await fetch(address(path, parameters), { signal, headers: { accept: "application/json" } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server does not answer. Is gmtscreen serve still running?", 0);
  }
  const body = await answer.json().catch(() => null);
  if (!answer.ok) {
    const { message, position } = body?.error ?? {};
    throw new ApiError(message ?? `The server answered with status ${answer.status}.`, answer.status, position ?? null);
  }
  return body;
}

let described;

/** Every property by name: kind, unit, description, group, interval. Asked once per page. */
export function properties() {
  described ??= ask("properties").then((rows) => new Map(rows.map((row) => [row.name, row])));
  return described;
}

/** Lets only the newest of several questions of one kind be answered. */
export class Latest {
  #controller = null;

  /** A signal for the next question; the one before is given up. */
  next() {
    this.#controller?.abort();
    this.#controller = new AbortController();
    return this.#controller.signal;
  }
}
