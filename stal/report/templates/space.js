"use strict";
// A gradient tube as a body in space and time: time to the right, the frame that is shown as a slice of it.
const setUpSpace = (() => {
  const LENGTH = 2.2; // of the axis of time, over the width of a frame
  const SURFACES = { true: [213, 94, 0], false: [86, 180, 233] };
  const STEP = 0.12; // radians of an arrow key

  const numbers = (text) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new Uint16Array(bytes.buffer); // little-endian, as all that browsers run on
  };

  class Space {
    constructor(canvas, clip, side) {
      this.canvas = canvas;
      this.clip = clip;
      const { surfaces, lines } = clip.data.sides[side].space;
      this.height = clip.data.height / clip.data.width;
      this.surfaces = surfaces.map((surface) => ({
        points: this.places(surface.points),
        triangles: numbers(surface.triangles),
        colour: SURFACES[surface.positive],
      }));
      this.lines = lines.map((line) => this.places(line));
    }

    // (t, x, y) of 16 bits each to a box around 0.
    places(text) {
      const packed = numbers(text);
      const places = [];
      for (let i = 0; i < packed.length; i += 3) {
        const [t, x, y] = [packed[i], packed[i + 1], packed[i + 2]].map((value) => value / 65535 - 0.5);
        places.push([t * LENGTH, x, y * this.height]);
      }
      return places;
    }

    draw({ yaw, pitch }) {
      const { canvas, clip } = this;
      canvas.width = 640;
      canvas.height = Math.round(640 * Math.max(0.6, this.height));
      const context = canvas.getContext("2d");
      const unit = 260;
      const [sinYaw, cosYaw, sinPitch, cosPitch] = [Math.sin(yaw), Math.cos(yaw), Math.sin(pitch), Math.cos(pitch)];
      // Without perspective; time turns about the vertical, then all is tilted towards who looks.
      const project = ([t, x, y]) => {
        const depth = -t * sinYaw + x * cosYaw;
        return [
          canvas.width / 2 + unit * (t * cosYaw + x * sinYaw),
          canvas.height / 2 + unit * (y * cosPitch - depth * sinPitch),
          depth * cosPitch + y * sinPitch,
        ];
      };
      const path = (points) => {
        context.beginPath();
        for (const [x, y] of points) context.lineTo(x, y);
      };

      const faces = [];
      for (const { points, triangles, colour } of this.surfaces) {
        const projected = points.map(project);
        for (let i = 0; i < triangles.length; i += 3) {
          const corners = [triangles[i], triangles[i + 1], triangles[i + 2]].map((point) => projected[point]);
          const [[ax, ay, az], [bx, by, bz], [cx, cy, cz]] = corners;
          const across = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax);
          const deep = unit * Math.hypot((by - ay) * (cz - az) - (bz - az) * (cy - ay), (bz - az) * (cx - ax) - (bx - ax) * (cz - az));
          const light = 0.35 + 0.65 * (Math.abs(across) / (Math.hypot(across, deep) || 1));
          const time = [0, 1, 2].reduce((sum, k) => sum + points[triangles[i + k]][0], 0) / 3;
          faces.push({ corners, depth: az + bz + cz, time, style: `rgb(${colour.map((v) => v * light).join(" ")})` });
        }
      }
      faces.sort((a, b) => b.depth - a.depth);
      const drawFaces = (some) => {
        for (const { corners, style } of some) {
          path(corners);
          context.fillStyle = context.strokeStyle = style;
          context.lineWidth = 0.5;
          context.fill();
          context.stroke();
        }
      };

      const now = ((clip.data.firstFrame + clip.frame + 0.5) / clip.data.videoFrames - 0.5) * LENGTH;
      const isFar = ({ time }) => time < now === sinYaw > 0;
      drawFaces(faces.filter(isFar));
      this.drawSlice(context, now, project);
      drawFaces(faces.filter((face) => !isFar(face)));

      context.strokeStyle = "#56b4e9";
      context.lineWidth = 2;
      for (const line of this.lines) {
        path(line.map(project));
        context.stroke();
      }
      this.drawTimeAxis(context, project);
    }

    drawTimeAxis(context, project) {
      const ends = [-LENGTH / 2, LENGTH / 2].map((t) => project([t, -0.5, this.height / 2]));
      context.strokeStyle = context.fillStyle = "#a3acba";
      context.lineWidth = 1.5;
      context.beginPath();
      for (const [x, y] of ends) context.lineTo(x, y);
      context.stroke();
      context.font = "22px system-ui, sans-serif";
      const texts = ["frame 0", `${this.clip.data.videoFrames - 1}`];
      ends.forEach(([x, y], end) => {
        const width = context.measureText(texts[end]).width;
        const left = Math.max(4, Math.min(this.canvas.width - width - 4, x - width / 2));
        context.fillText(texts[end], left, Math.min(this.canvas.height - 6, y + 26));
      });
    }

    // The frame that the film shows: without perspective, a frame in space is a parallelogram.
    drawSlice(context, now, project) {
      const { film, data } = this.clip;
      const [[left, top], [right, rightTop], [leftBottom, bottom]] = [
        [now, -0.5, -this.height / 2],
        [now, 0.5, -this.height / 2],
        [now, -0.5, this.height / 2],
      ].map(project);
      context.save();
      context.setTransform(
        (right - left) / data.width,
        (rightTop - top) / data.width,
        (leftBottom - left) / data.height,
        (bottom - top) / data.height,
        left,
        top,
      );
      context.globalAlpha = 0.75;
      context.drawImage(film, 0, 0, data.width, data.height, 0, 0, data.width, data.height);
      context.restore();
    }
  }

  // All tubes of a clip turn together.
  return (clip) => {
    const canvases = [...clip.card.querySelectorAll(".space")];
    const button = clip.card.querySelector(".turn");
    const view = { yaw: 0.6, pitch: 0.35 };
    let spaces = null;
    const draw = () => {
      if (spaces && !canvases[0].hidden) spaces.forEach((space) => space.draw(view));
    };
    const turn = (yaw, pitch) => {
      view.yaw += yaw;
      view.pitch = Math.max(-1.4, Math.min(1.4, view.pitch + pitch));
      draw();
    };
    button.addEventListener("click", () => {
      spaces ??= canvases.map((canvas, side) => new Space(canvas, clip, side));
      const isShown = canvases[0].hidden;
      for (const canvas of canvases) canvas.hidden = !isShown;
      button.setAttribute("aria-pressed", String(isShown));
      draw();
    });
    const keys = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] };
    for (const canvas of canvases) {
      canvas.addEventListener("keydown", (event) => {
        if (!(event.key in keys)) return;
        event.preventDefault();
        turn(...keys[event.key]);
      });
      canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
      canvas.addEventListener("pointermove", (event) => {
        if (canvas.hasPointerCapture(event.pointerId)) turn(event.movementX * 0.01, -event.movementY * 0.01);
      });
    }
    clip.card.addEventListener("drawn", draw);
  };
})();
