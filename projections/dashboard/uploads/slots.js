// How many uploads of one browser run at a time. A browser opens six connections to a host, and the page's own stream
// and requests need some of them.

/** How many uploads of this browser run at a time; of this tab, where tabs can't share locks. */
export const MAX_UPLOADS = 2;

const LOCKS = Array.from({ length: MAX_UPLOADS }, (_, place) => `songline-upload-${place + 1}`);

/**
 * Does the work once one of the locks is free that all tabs of this browser share. Web Locks need HTTPS or 127.0.0.1;
 * without them the work is done at once.
 * @template Result
 * @param {() => Promise<Result>} work
 * @returns {Promise<Result>}
 */
export async function inSlot(work) {
  /** @type {LockManager | undefined} */
  const locks = navigator.locks;
  if (!locks) return work();
  for (const name of LOCKS) {
    const done = await locks.request(name, { ifAvailable: true }, async (lock) => lock && { result: await work() });
    if (done) return done.result;
  }
  return locks.request(LOCKS[Math.floor(Math.random() * LOCKS.length)] ?? "", work);
}
