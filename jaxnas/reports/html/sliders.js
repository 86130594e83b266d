"use strict";
// Moves the bars of every slider to the epoch that its handle, or its button, says.
for (const root of document.querySelectorAll(".theta")) {
  const data = JSON.parse(root.querySelector("script").textContent);
  const slider = root.querySelector("input");
  const button = root.querySelector("button");
  const bars = root.querySelectorAll(".bar i");
  const told = root.querySelectorAll(".edge b");
  let timer = 0;
  const show = () => {
    const shares = data.shares[slider.value];
    bars.forEach((bar, index) => { bar.style.width = shares[index] / 10 + "%"; });
    told.forEach((edge, index) => {
      const own = shares.slice(3 * index, 3 * index + 3);
      const best = own.indexOf(Math.max(...own));
      edge.textContent = ["none", "id", "same"][best] + " " + Math.round(own[best] / 10) + "%";
    });
    const epoch = data.epochs[slider.value];
    root.querySelector("output").textContent = epoch ? "after epoch " + epoch : "at the start";
  };
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    button.textContent = "Play";
  };
  button.addEventListener("click", () => {
    if (timer) { stop(); return; }
    if (slider.value === slider.max) { slider.value = 0; }
    button.textContent = "Pause";
    show();
    timer = setInterval(() => {
      if (slider.value === slider.max) { stop(); return; }
      slider.value = Number(slider.value) + 1;
      show();
    }, Math.max(60, 4000 / data.epochs.length));
  });
  slider.addEventListener("input", () => { stop(); show(); });
  root.querySelector(".control").hidden = false;
  show();
}
