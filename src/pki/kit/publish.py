"""Publishes one message as the device whose files stand beside this one."""

import getpass
import os
from pathlib import Path

import paho.mqtt.client as mqtt

HERE = Path(__file__).resolve().parent
KEY = HERE / @"KEY"@

passphrase = None
if "ENCRYPTED" in KEY.read_text():
    passphrase = os.environ.get("CITRONELLA_KEY_PASSPHRASE") or getpass.getpass("passphrase of the key: ")

client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=@"DEVICE"@, protocol=mqtt.MQTTv5)
client.tls_set(
    ca_certs=str(HERE / "ca.crt"),
    certfile=str(HERE / @"CRT"@),
    keyfile=str(KEY),
    keyfile_password=passphrase,
)
client.connect(@"HOST"@, @PORT@)
client.loop_start()
message = client.publish(@"TOPIC"@, "hello", qos=1)
message.wait_for_publish(timeout=20)
print("published" if message.is_published() else "not published")
client.disconnect()
client.loop_stop()
