// A next hop that takes its time: each reply comes after a wait. A process of its own; port and milliseconds in argv[2] and argv[3].
import { createServer } from "node:net";

if (import.meta.main) {
  const wait = Number(process.argv[3]);
  createServer((socket) => {
    socket.setEncoding("latin1").on("error", () => {});
    const later = (reply: string): void => void setTimeout(() => socket.write(`${reply}\r\n`), wait);
    let [text, inData] = ["", false];
    later("220 tarpit.test ESMTP");
    socket.on("data", (piece: string) => {
      text += piece;
      if (inData && text.endsWith("\r\n.\r\n")) {
        [text, inData] = ["", false];
        later("250 taken at last");
      }
      for (let end = text.indexOf("\r\n"); end >= 0 && !inData; end = text.indexOf("\r\n")) {
        inData = text.slice(0, 4).toUpperCase() === "DATA";
        text = text.slice(end + 2);
        later(inData ? "354 go" : "250 ok");
      }
    });
  }).listen(Number(process.argv[2]), "127.0.0.1", 1024, () => process.send?.("ready"));
  process.on("disconnect", () => process.exit(0));
}
