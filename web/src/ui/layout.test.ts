import { expect, test } from "vitest";
import { capacityOf, layoutOf, ratioOf, stripOf } from "./layout";

const STAGES = [
  [1100, 560],
  [1920, 900],
  [360, 560],
  [800, 300],
] as const;

test("however many tiles there are, all of them are on the stage", () => {
  for (const [width, height] of STAGES)
    for (let count = 1; count <= 49; count++) {
      const layout = layoutOf(count, width, height, 10);
      const rows = Math.ceil(count / layout.columns);
      expect(layout.width * layout.columns + 10 * (layout.columns - 1)).toBeLessThanOrEqual(width);
      expect((layout.width / ratioOf(width, height)) * rows + 10 * (rows - 1)).toBeLessThanOrEqual(height);
      expect(layout.width).toBeGreaterThan(30);
    }
});

test("two tiles stand side by side on a desk and one above the other on a phone", () => {
  expect(layoutOf(2, 1100, 560, 10).columns).toBe(2);
  expect(layoutOf(2, 360, 560, 10).columns).toBe(1);
});

test("a stage that has no size yet is no trouble", () => {
  expect(layoutOf(4, 0, 0, 10)).toEqual({ columns: 1, width: 0 });
});

test("a page has nine tiles on a desk, fewer on a phone, and never none", () => {
  expect(capacityOf(1100, 560, 10)).toBe(9);
  expect(capacityOf(360, 560, 10)).toBeLessThan(9);
  expect(capacityOf(0, 0, 10)).toBe(1);
});

test("the tiles beside a large one fit beside it", () => {
  for (const [width, height] of STAGES) {
    const strip = stripOf(width, height, 10);
    const length = width < height ? strip.width : strip.width / ratioOf(width, height);
    expect(strip.capacity * length + 10 * (strip.capacity - 1)).toBeLessThanOrEqual(Math.max(width, height));
    expect(strip.capacity).toBeGreaterThan(1);
  }
});
