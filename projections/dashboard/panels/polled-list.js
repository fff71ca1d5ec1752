// A list that is asked for when its view opens and again from time to time.
import { ApiError } from "../api.js";
import { emptyState, h, placeholder } from "../dom.js";

/**
 * @template Answer
 * @param {number} lines how many lines a placeholder has until there is an answer
 * @param {() => Promise<Answer>} ask
 * @param {(answer: Answer) => HTMLElement} show
 */
export function polledList(lines, ask, show) {
  const element = h("div", { class: "sheet" }, placeholder(lines));
  return {
    element,
    async load() {
      try {
        element.replaceChildren(show(await ask()));
      } catch (error) {
        element.replaceChildren(emptyState("This can't be shown", ApiError.of(error).message));
      }
    },
  };
}
