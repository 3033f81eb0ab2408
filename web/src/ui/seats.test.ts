import { expect, test } from "vitest";
import { NO_SEATS, pageOf, seat } from "./seats";

const people = (count: number) => Array.from({ length: count }, (_, index) => `p${index}`);
const room = (present: string[], ...speakers: string[]) => ({
  present,
  fixed: new Set(["p0"]),
  speakers: new Set(speakers),
});

test("a speaker whom nobody would see takes the place of whoever of the first page is silent for longest", () => {
  const present = people(12);
  let seats = seat(NO_SEATS, room(present), 4, 0);
  expect(seats.order).toEqual(present);
  for (const speaker of ["p1", "p3"]) seats = seat(seats, room(present, speaker), 4, 0);
  expect(seats.order).toEqual(present);
  seats = seat(seats, room(present, "p9"), 4, 0);
  expect(seats.order.slice(0, 4)).toEqual(["p0", "p1", "p9", "p3"]);
  expect(seats.order[9]).toBe("p2");
  seats = seat(seats, room(present, "p5"), 4, 0);
  expect(seats.order.slice(0, 4)).toEqual(["p0", "p5", "p9", "p3"]);
});

test("on the page that is looked at nobody moves, whoever speaks", () => {
  const present = people(12);
  const seats = seat(NO_SEATS, room(present), 4, 1);
  for (const speaker of ["p5", "p10"]) {
    const spoken = seat(seats, room(present, speaker), 4, 1);
    expect(spoken.order.slice(4, 8)).toEqual(["p4", "p5", "p6", "p7"]);
  }
});

test("the same room keeps the same seats, though somebody speaks on or has left", () => {
  const present = people(3);
  const seats = seat(NO_SEATS, room(present, "p1", "gone"), 4, 0);
  expect(seat(seats, room(present, "p1", "gone"), 4, 0)).toBe(seats);
});

test("when all of the first page speak, nobody is put out", () => {
  const present = people(6);
  const seats = seat(NO_SEATS, room(present), 2, 0);
  expect(seat(seats, room(present, "p1", "p5"), 2, 0).order).toEqual(present);
});

test("a page that is no more is the last one", () => {
  expect(pageOf(people(5), 2, 7)).toEqual({ names: ["p4"], page: 2, count: 3 });
  expect(pageOf([], 2, 1)).toEqual({ names: [], page: 0, count: 1 });
});
