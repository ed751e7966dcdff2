/** Starts the page: what it can do in this browser, and then what it shows. */

document.querySelector("#app");
export {};
