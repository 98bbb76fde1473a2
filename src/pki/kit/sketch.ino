// Publishes as the device of citronella.h. For ESP32 and ESP8266 (there: ESP8266WiFi.h, and BearSSL's setClientECCert).
// Libraries: PubSubClient.
#include <PubSubClient.h>
#include <WiFi.h>
#include <WiFiClientSecure.h>
#include <time.h>

#include "citronella.h"

const char *WIFI_NAME = "the name of your network";
const char *WIFI_PASSWORD = "its password";

WiFiClientSecure tls;
PubSubClient mqtt(tls);

void setup() {
  Serial.begin(115200);
  WiFi.begin(WIFI_NAME, WIFI_PASSWORD);
  while (WiFi.status() != WL_CONNECTED) delay(200);

  // Certificates are valid from a day to a day: without the time none is.
  configTime(0, 0, "pool.ntp.org");
  while (time(nullptr) < 1600000000) delay(200);

  tls.setCACert(CITRONELLA_CA);
  tls.setCertificate(CITRONELLA_CERTIFICATE);
  tls.setPrivateKey(CITRONELLA_KEY);
  mqtt.setServer(@"HOST"@, @PORT@);
}

void loop() {
  if (!mqtt.connected()) {
    if (mqtt.connect(@"DEVICE"@)) {
      mqtt.publish(@"TOPIC"@, "hello");
    } else {
      Serial.printf("not connected: %d\n", mqtt.state());
      delay(5000);
    }
  }
  mqtt.loop();
}
