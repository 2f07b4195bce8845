"use strict";
// Clips: one film of each holds the frame and, in rows below it, the heat of every detector. All that is drawn is drawn
// of the frame that the film shows at that moment, so that picture, boxes and heat cannot come apart.
(() => {
  const report = JSON.parse(document.getElementById("data").textContent);
  const looks = document.getElementById("clip-looks");
  if (!looks) return;
  const CANVAS_WIDTH = 640;
  const DETECTED = "#56b4e9"; // Okabe & Ito
  const TRUTH = "#ffffff";

  const percent = (share) => `${Math.round(100 * share)} %`;

  const drawBox = (context, box, colour, dash, label, below) => {
    const [x1, y1, x2, y2] = box;
    for (const [style, width] of [["#000000b0", 6], [colour, 3]]) {
      context.strokeStyle = style;
      context.lineWidth = width;
      context.setLineDash(dash);
      context.strokeRect(x1, y1, x2 - x1, y2 - y1);
    }
    context.setLineDash([]);
    context.font = "600 26px system-ui, sans-serif";
    const width = context.measureText(label).width + 10;
    const left = Math.max(0, Math.min(x1, context.canvas.width - width));
    const top = below ? Math.min(y2 + 3, context.canvas.height - 33) : Math.max(0, y1 - 36);
    context.fillStyle = "#000000c0";
    context.fillRect(left, top, width, 33);
    context.fillStyle = colour;
    context.fillText(label, left + 5, top + 25);
  };

  class Clip {
    constructor(card, data) {
      this.card = card;
      this.data = data;
      this.frame = 0;
      this.film = document.createElement("video");
      Object.assign(this.film, { muted: true, playsInline: true, loop: true, preload: "auto" });
      this.views = [...card.querySelectorAll(".view")];
      this.readouts = [...card.querySelectorAll(".readout")];
      this.slider = card.querySelector(".slider");
      this.output = card.querySelector(".controls output");
      this.button = card.querySelector(".play");
      this.scale = CANVAS_WIDTH / data.width;
      for (const view of this.views) {
        view.width = CANVAS_WIDTH;
        view.height = Math.round(data.height * this.scale);
      }
      this.slider.max = data.numFrames - 1;
      this.slider.addEventListener("input", () => this.seek(Number(this.slider.value)));
      this.button.addEventListener("click", () => (this.film.paused ? this.film.play() : this.film.pause()));
      for (const [event, sign, verb] of [["play", "❚❚", "Pause"], ["pause", "▶", "Play"]]) {
        this.film.addEventListener(event, () => {
          this.button.textContent = sign;
          this.button.setAttribute("aria-label", `${verb} ${card.getAttribute("aria-label")}`);
        });
      }
      this.film.addEventListener("play", () => this.follow());
      this.film.addEventListener("seeked", () => this.show(this.frameAt(this.film.currentTime)));
      this.film.addEventListener("loadeddata", () => this.seek(this.firstFrame()), { once: true });
      this.film.addEventListener("error", () => this.card.append("This browser cannot play H.264."), { once: true });
    }

    load() {
      if (!this.film.src) this.film.src = this.data.film;
    }

    // The middle of the first detector's boxes.
    firstFrame() {
      const frames = this.data.sides[0].boxes.flatMap((box, frame) => (box ? [frame] : []));
      return frames[frames.length >> 1] ?? 0;
    }

    frameAt(seconds) {
      const frame = Math.floor(seconds * this.data.fps + 1e-3);
      return Math.max(0, Math.min(this.data.numFrames - 1, frame));
    }

    seek(frame) {
      this.film.pause();
      this.film.currentTime = (frame + 0.5) / this.data.fps;
    }

    // Draws every frame that the film shows while it plays.
    follow() {
      const exact = "requestVideoFrameCallback" in this.film;
      const next = (now, shown) => {
        if (this.film.paused) return;
        this.show(this.frameAt(exact && shown ? shown.mediaTime : this.film.currentTime));
        if (exact) this.film.requestVideoFrameCallback(next);
        else requestAnimationFrame(next);
      };
      if (exact) this.film.requestVideoFrameCallback(next);
      else requestAnimationFrame(next);
    }

    show(frame) {
      this.frame = frame;
      this.card.dataset.frame = frame;
      this.slider.value = frame;
      const number = this.data.firstFrame + frame;
      this.slider.setAttribute("aria-valuetext", `frame ${number} of ${this.data.videoFrames}`);
      this.output.textContent = `${number} / ${this.data.videoFrames - 1}`;
      this.draw();
    }

    draw() {
      if (this.film.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
      this.views.forEach((view, side) => this.drawView(view, side));
      this.card.dispatchEvent(new CustomEvent("drawn"));
    }

    drawView(view, side) {
      const { width, height, rowHeight, truth, sides } = this.data;
      const opacity = Number(looks.elements.opacity.value);
      const context = view.getContext("2d");
      const row = (number) =>
        context.drawImage(this.film, 0, number * rowHeight, width, height, 0, 0, view.width, view.height);
      row(0);
      if (opacity > 0) {
        context.globalAlpha = 0.6 * opacity;
        context.fillStyle = "#000";
        context.fillRect(0, 0, view.width, view.height);
        context.globalAlpha = opacity;
        context.globalCompositeOperation = "screen"; // black heat leaves the frame as it is
        row(1 + side);
        context.globalCompositeOperation = "source-over";
        context.globalAlpha = 1;
      }
      const scaled = (box) => box.map((value) => value * this.scale);
      if (looks.elements.truth.checked) {
        for (const tube of truth) {
          const box = tube.boxes[this.frame];
          if (box) drawBox(context, scaled(box), TRUTH, [9, 7], `truth: ${tube.action}`, true);
        }
      }
      const { action, isDetected, boxes, scores, insideShares, volumeShares } = sides[side];
      const [box, score] = [boxes[this.frame], scores[this.frame]];
      const text = score === null ? action : `${action} ${score.toFixed(2)}`;
      if (box && looks.elements.boxes.checked) drawBox(context, scaled(box), DETECTED, isDetected ? [] : [2, 6], text, false);
      const [inside, volume] = [insideShares[this.frame], volumeShares[this.frame]];
      this.readouts[side].textContent =
        inside === null
          ? "the tube is not in this window"
          : `energy in the boxes ${percent(inside)}, the boxes are ${percent(volume)} of the window`;
    }
  }

  const clips = [...document.querySelectorAll(".clip")].map(
    (card) => new Clip(card, report.clips[Number(card.dataset.clip)]),
  );
  for (const clip of clips) setUpSpace(clip);
  looks.addEventListener("input", () => clips.forEach((clip) => clip.draw()));
  looks.addEventListener("submit", (event) => event.preventDefault());

  const filters = document.getElementById("clip-filters");
  const filter = () => {
    let numShown = 0;
    for (const { card, film } of clips) {
      const fits = ["kind", "action", "chosen"].every((name) => {
        const wanted = filters.elements[name]?.value;
        return !wanted || card.dataset[name] === wanted;
      });
      const text = filters.elements.text.value.trim().toLowerCase();
      card.hidden = !(fits && card.textContent.toLowerCase().includes(text));
      if (card.hidden) film.pause();
      numShown += !card.hidden;
    }
    filters.querySelector("output").textContent = `${numShown} of ${clips.length}`;
  };
  filters.addEventListener("input", filter);
  filters.addEventListener("submit", (event) => event.preventDefault());
  filter();

  // Films are decoded only when they come near the window.
  const near = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (isIntersecting) clips[Number(target.dataset.clip)].load();
      }
    },
    { rootMargin: "400px" },
  );
  for (const { card } of clips) near.observe(card);
})();
