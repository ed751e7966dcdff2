/**
 * When the service is asked again: often while somebody looks, seldom otherwise, never unseen.
 *
 * Every 15 seconds while the person does something or a followed person moves; every minute after
 * ten minutes without either, or where the browser saves data; longer after failures.
 */

const OFTEN = 15_000;
const SELDOM = 60_000;
const IDLE_AFTER = 600_000;
const LONGEST = 600_000;

export class Refresh {
  #timer: ReturnType<typeof setTimeout> | null = null;
  #activeAt = Date.now();
  #failures = 0;
  #isRunning = false;
  #startsSeldom: boolean;

  constructor(readonly update: () => Promise<unknown>) {
    const network = navigator as Navigator & { readonly connection?: { readonly saveData?: boolean } };
    this.#startsSeldom = network.connection?.saveData === true;
    for (const name of ["pointerdown", "keydown"]) {
      addEventListener(name, () => this.touch(), { passive: true });
    }
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") void this.now();
      else this.#cancel();
    });
    addEventListener("online", () => void this.now());
  }

  /** Ask now, and from then on. */
  start(): void {
    this.#isRunning = true;
    void this.now();
  }

  stop(): void {
    this.#isRunning = false;
    this.#cancel();
  }

  /** Someone does something, or someone who is followed moves. */
  touch(): void {
    const wasIdle = Date.now() - this.#activeAt > IDLE_AFTER;
    this.#activeAt = Date.now();
    if (wasIdle) void this.now();
  }

  /** How the last update went; `seconds` is what the service asks to wait. */
  note(isAway: boolean, seconds: number | null = null): void {
    this.#failures = isAway ? this.#failures + 1 : 0;
    if (seconds !== null && this.#isRunning) this.#wait(seconds * 1000);
  }

  async now(): Promise<void> {
    if (!this.#isRunning || document.visibilityState === "hidden") return;
    this.#cancel();
    await this.update();
    if (this.#timer === null) this.#wait(this.#pause());
  }

  #pause(): number {
    const isIdle = this.#startsSeldom || Date.now() - this.#activeAt > IDLE_AFTER;
    return Math.min(LONGEST, (isIdle ? SELDOM : OFTEN) * 2 ** this.#failures);
  }

  #wait(milliseconds: number): void {
    this.#cancel();
    if (!this.#isRunning || document.visibilityState === "hidden") return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.now();
    }, milliseconds);
  }

  #cancel(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
