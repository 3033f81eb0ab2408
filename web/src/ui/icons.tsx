/** The icons, drawn here so that nothing is fetched. They are decoration: buttons have labels. */
const PATHS = {
  mic: "M12 15a3 3 0 0 0 3-3V6a3 3 0 0 0-6 0v6a3 3 0 0 0 3 3zm5-3a5 5 0 0 1-10 0M12 17v4",
  micOff: "M4 4l16 16M9 9v3a3 3 0 0 0 4.5 2.6M15 11V6a3 3 0 0 0-5.9-.8M7 12a5 5 0 0 0 7.5 4.3M17 12a5 5 0 0 1-.4 2M12 17v4",
  camera: "M3 8a2 2 0 0 1 2-2h8a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2zM15 11l6-4v10l-6-4",
  cameraOff: "M3 3l18 18M7 6h6a2 2 0 0 1 2 2v3l6-4v10M15 15.5V16a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V8a2 2 0 0 1 1.5-1.9",
  leave: "M3 14c5-5 13-5 18 0l-2.5 2.5-3.5-2v-2.5a12 12 0 0 0-6 0v2.5l-3.5 2z",
  link: "M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 6 6l1-1",
  lock: "M6 11h12a1 1 0 0 1 1 1v7a1 1 0 0 1-1 1H6a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1zM8 11V8a4 4 0 0 1 8 0v3",
  people: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 20a6.5 6.5 0 0 1 13 0M16 4.3a3.5 3.5 0 0 1 0 6.4M18 14.5a6.5 6.5 0 0 1 3.5 5.5",
  screen: "M3 5h18v11H3zM9 20h6M12 16v4M12 13V8M9.5 10.5 12 8l2.5 2.5",
  screenOff: "M3 5h18v11H3zM9 20h6M12 16v4M9.5 8l5 5M14.5 8l-5 5",
  pin: "M9 3h6l-1 6 3 3v2H7v-2l3-3zM12 14v7",
  statistics: "M4 20h16M7 16v-5M12 16V5M17 16V9",
  previous: "M15 5l-7 7 7 7",
  next: "M9 5l7 7-7 7",
  captions: "M5 5h14a2 2 0 0 1 2 2v10a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V7a2 2 0 0 1 2-2zM10.5 10.5a2 2 0 1 0 0 3M17 10.5a2 2 0 1 0 0 3",
  captionsOff: "M7.5 5H19a2 2 0 0 1 2 2v10a2 2 0 0 1-.6 1.4M16.5 19H5a2 2 0 0 1-2-2V7a2 2 0 0 1 1-1.7M10 10.2a2 2 0 1 0 .5 3.3M17 10.5a2 2 0 0 0-2.8 0M3 3l18 18",
  transcript: "M6 3h9l4 4v14H6zM14 3v5h5M9 12h7M9 16h7",
  summary: "M5 6h14M5 12h9M5 18h6M17 14l.9 2.1 2.1.9-2.1.9-.9 2.1-.9-2.1-2.1-.9 2.1-.9z",
  emotions: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM9 10v.01M15 10v.01M8.5 14.5a4.5 4.5 0 0 0 7 0",
  voice: "M4 10v4M8 7v10M12 4v16M16 7v10M20 10v4",
  settings: "M4 7h9M17 7h3M4 17h3M11 17h9M15 5v4M9 15v4",
  chat: "M4 5h16v11H10l-5 4v-4H4zM8 9h8M8 12h5",
  hand: "M7 12V6.5a1.4 1.4 0 0 1 2.8 0V11V4.9a1.4 1.4 0 0 1 2.8 0V11V5.9a1.4 1.4 0 0 1 2.8 0V12V8.5a1.4 1.4 0 0 1 2.8 0V15a6 6 0 0 1-6 6c-3 0-4.6-1.6-6-4l-2.3-4a1.4 1.4 0 0 1 2.3-1.5z",
  reaction: "M11 20a8 8 0 1 1 8-9.5M8.5 9.5v.01M13.5 9.5v.01M7.8 13.5a4 4 0 0 0 6.4 0M18 14v6M15 17h6",
  poll: "M4 6h10M4 12h16M4 18h7",
  notes: "M5 4h14v10l-5 6H5zM14 20v-6h5M8 8h8M8 11.5h5",
  starved: "M3 9a14 14 0 0 1 18 0M6.5 12.5a9 9 0 0 1 11 0M10 16a4 4 0 0 1 4 0M4 20 20 4",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
