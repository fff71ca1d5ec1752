// A place on the page on which files are dropped.
import { h } from "../dom.js";

/**
 * @param {(files: FileList | undefined) => void} onFiles
 * @param {...(HTMLElement | false)} children
 */
export function dropZone(onFiles, ...children) {
  const element = h(
    "div",
    {
      class: "drop",
      ondragover: (event) => {
        event.preventDefault();
        element.classList.add("over");
      },
      ondragleave: () => element.classList.remove("over"),
      ondrop: (event) => {
        event.preventDefault();
        element.classList.remove("over");
        onFiles(event.dataTransfer?.files);
      },
    },
    ...children,
  );
  return element;
}
