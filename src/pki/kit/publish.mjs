// Publishes one message as the device whose files stand beside this one.
import { readFileSync } from "node:fs";
import mqtt from "mqtt";

const file = (name) => readFileSync(new URL(encodeURIComponent(name), import.meta.url));

const client = await mqtt.connectAsync({
  protocol: "mqtts",
  protocolVersion: 5,
  host: @"HOST"@,
  port: @PORT@,
  clientId: @"DEVICE"@,
  ca: file("ca.crt"),
  cert: file(@"CRT"@),
  key: file(@"KEY"@),
  passphrase: process.env.CITRONELLA_KEY_PASSPHRASE,
});
await client.publishAsync(@"TOPIC"@, "hello", { qos: 1 });
console.log("published");
await client.endAsync();
