// werift as an SFU: every track of a room goes to everyone else in it. Speaks the lines of parley_worker.py.
//
// node sfu.mjs ADDRESS

import { createInterface } from "node:readline";
import {
  RTCPeerConnection,
  RTCRtpCodecParameters,
  useNACK,
  usePLI,
  useSdesMid,
  useTransportWideCC,
  useTWCC,
} from "werift";

const address = process.argv[2];
const rooms = new Map();

function connection() {
  return new RTCPeerConnection({
    iceServers: [],
    iceUseIpv6: false,
    iceAdditionalHostAddresses: [address],
    headerExtensions: { video: [useSdesMid(), useTransportWideCC()], audio: [useSdesMid()] },
    codecs: {
      audio: [new RTCRtpCodecParameters({ mimeType: "audio/opus", clockRate: 48000, channels: 2, payloadType: 111 })],
      video: [
        new RTCRtpCodecParameters({
          mimeType: "video/VP8",
          clockRate: 90000,
          payloadType: 96,
          rtcpFeedback: [useNACK(), usePLI(), useTWCC()],
        }),
        new RTCRtpCodecParameters({ mimeType: "video/rtx", clockRate: 90000, payloadType: 97, parameters: "apt=96" }),
      ],
    },
  });
}

function say(what) {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

function peer({ room, participant }) {
  return rooms.get(room).get(participant);
}

// One offer at a time; what changes meanwhile makes the next.
async function offer(who) {
  const it = peer(who);
  if (it.offering) {
    it.changed = true;
    return;
  }
  it.offering = true;
  it.changed = false;
  await it.subscriber.setLocalDescription(await it.subscriber.createOffer());
  it.revision += 1;
  say({ ...who, sdp: it.subscriber.localDescription.sdp, revision: it.revision });
}

function forward({ track, receiver }, it) {
  const { sender } = it.subscriber.addTransceiver(track, { direction: "sendonly" });
  sender.onPictureLossIndication.subscribe(() => receiver.sendRtcpPLI(track.ssrc));
}

const requests = {
  async start({ room, participant, subscribe }) {
    if (!rooms.has(room)) rooms.set(room, new Map());
    const others = [...rooms.get(room).values()];
    const it = { publisher: connection(), subscriber: connection(), subscribe, tracks: [], revision: 0 };
    rooms.get(room).set(participant, it);
    const tracks = others.flatMap((other) => other.tracks);
    if (subscribe && tracks.length) {
      for (const each of tracks) forward(each, it);
      await offer({ room, participant });
    }
    return {};
  },

  async publish({ room, participant, sdp }) {
    const { publisher, tracks } = peer({ room, participant });
    await publisher.setRemoteDescription({ type: "offer", sdp });
    for (const { receiver } of publisher.getTransceivers()) {
      for (const track of receiver.tracks) tracks.push({ track, receiver });
    }
    await publisher.setLocalDescription(await publisher.createAnswer());
    for (const [name, other] of rooms.get(room)) {
      if (name === participant || !other.subscribe) continue;
      for (const each of tracks) forward(each, other);
      await offer({ room, participant: name });
    }
    return { sdp: publisher.localDescription.sdp };
  },

  async answer({ room, participant, sdp, revision }) {
    const it = peer({ room, participant });
    if (revision !== it.revision) return {};
    await it.subscriber.setRemoteDescription({ type: "answer", sdp });
    it.offering = false;
    if (it.changed) await offer({ room, participant });
    return {};
  },
};

say({ ready: true, fanout: "werift" });
for await (const line of createInterface({ input: process.stdin })) {
  const said = JSON.parse(line);
  requests[said.request](said).then(
    (answer) => say({ id: said.id, ...answer }),
    (error) => process.stderr.write(`${said.request}: ${error.stack}\n`),
  );
}
process.exit(0);
