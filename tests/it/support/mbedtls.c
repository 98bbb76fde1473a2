/* What mbedTLS, the library of ESP32 boards, makes of our files.
 *
 *   mbedtls verify CA CERT client|NAME [CRL]     chain, purpose, name, revocation list (PEM or DER)
 *   mbedtls connect HOST PORT CA CERT KEY ID     TLS with both certificates, then MQTT 3.1.1 CONNECT
 *
 * Prints what it found; status 0 is yes, 1 no, 2 something else went wrong. */
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/oid.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>
#include <stdio.h>
#include <string.h>

/* Debian 12 has 2.28; since 3.0 these want random numbers. */
#if MBEDTLS_VERSION_MAJOR >= 3
#define RANDOM , mbedtls_ctr_drbg_random, &random
#else
#define RANDOM
#endif

static int failed(const char *what, int code)
{
	char text[200] = "";
	mbedtls_strerror(code, text, sizeof text);
	printf("%s: %s (-0x%04x)\n", what, text, (unsigned)-code);
	return 2;
}

static int no(uint32_t flags)
{
	char text[500] = "";
	mbedtls_x509_crt_verify_info(text, sizeof text, "", flags);
	printf("refused: %s", text);
	return 1;
}

static int verify(int count, char **words)
{
	static mbedtls_x509_crt ca, cert;
	static mbedtls_x509_crl crl;
	int client = !strcmp(words[2], "client"), code;
	uint32_t flags = 0;

	if ((code = mbedtls_x509_crt_parse_file(&ca, words[0])))
		return failed(words[0], code);
	if ((code = mbedtls_x509_crt_parse_file(&cert, words[1])))
		return failed(words[1], code);
	if (count > 3 && (code = mbedtls_x509_crl_parse_file(&crl, words[3])))
		return failed(words[3], code);
	if (mbedtls_x509_crt_verify(&cert, &ca, count > 3 ? &crl : NULL, client ? NULL : words[2], &flags, NULL, NULL))
		return no(flags);
	/* As its own handshake does it. */
	const char *oid = client ? MBEDTLS_OID_CLIENT_AUTH : MBEDTLS_OID_SERVER_AUTH;
	if (mbedtls_x509_crt_check_extended_key_usage(&cert, oid, strlen(oid)))
		return no(MBEDTLS_X509_BADCERT_EXT_KEY_USAGE);
	if (mbedtls_x509_crt_check_key_usage(&cert, MBEDTLS_X509_KU_DIGITAL_SIGNATURE))
		return no(MBEDTLS_X509_BADCERT_KEY_USAGE);
	puts("accepted");
	return 0;
}

static int connect_mqtt(char **words)
{
	static mbedtls_net_context net;
	static mbedtls_ssl_context ssl;
	static mbedtls_ssl_config conf;
	static mbedtls_entropy_context entropy;
	static mbedtls_ctr_drbg_context random;
	static mbedtls_x509_crt ca, cert;
	static mbedtls_pk_context key;
	unsigned char packet[100] = "\x10\0\0\4MQTT\4\2\0\x3c", answer[4];
	size_t id = strlen(words[5]), done = 0;
	int code;

	mbedtls_net_init(&net);
	mbedtls_ssl_init(&ssl);
	mbedtls_ssl_config_init(&conf);
	mbedtls_entropy_init(&entropy);
	mbedtls_ctr_drbg_init(&random);
	mbedtls_pk_init(&key);
	if (id > 50 || (code = mbedtls_ctr_drbg_seed(&random, mbedtls_entropy_func, &entropy, NULL, 0)))
		return 2;
	if ((code = mbedtls_x509_crt_parse_file(&ca, words[2])))
		return failed(words[2], code);
	if ((code = mbedtls_x509_crt_parse_file(&cert, words[3])))
		return failed(words[3], code);
	if ((code = mbedtls_pk_parse_keyfile(&key, words[4], NULL RANDOM)))
		return failed(words[4], code);
	if ((code = mbedtls_pk_check_pair(&cert.pk, &key RANDOM)))
		return failed("the pair", code);
	mbedtls_ssl_config_defaults(&conf, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
#if MBEDTLS_VERSION_MAJOR >= 3
	mbedtls_ssl_conf_max_tls_version(&conf, MBEDTLS_SSL_VERSION_TLS1_2);
#endif
	mbedtls_ssl_conf_authmode(&conf, MBEDTLS_SSL_VERIFY_REQUIRED);
	mbedtls_ssl_conf_ca_chain(&conf, &ca, NULL);
	mbedtls_ssl_conf_rng(&conf, mbedtls_ctr_drbg_random, &random);
	if ((code = mbedtls_ssl_conf_own_cert(&conf, &cert, &key)) || (code = mbedtls_ssl_setup(&ssl, &conf)))
		return failed("settings", code);
	/* The name stands in the certificate; it is called by its address. */
	mbedtls_ssl_set_hostname(&ssl, "broker.test");
	if ((code = mbedtls_net_connect(&net, words[0], words[1], MBEDTLS_NET_PROTO_TCP)))
		return failed("connecting", code);
	mbedtls_ssl_set_bio(&ssl, &net, mbedtls_net_send, mbedtls_net_recv, NULL);
	if ((code = mbedtls_ssl_handshake(&ssl))) {
		uint32_t flags = mbedtls_ssl_get_verify_result(&ssl);
		return flags && flags != (uint32_t)-1 ? no(flags) : failed("handshake", code);
	}
	packet[1] = (unsigned char)(12 + id);
	packet[12] = 0;
	packet[13] = (unsigned char)id;
	memcpy(packet + 14, words[5], id);
	if ((code = mbedtls_ssl_write(&ssl, packet, 14 + id)) != (int)(14 + id))
		return failed("CONNECT", code);
	while (done < sizeof answer) {
		if ((code = mbedtls_ssl_read(&ssl, answer + done, sizeof answer - done)) <= 0)
			return failed("CONNACK", code);
		done += (size_t)code;
	}
	printf("%s, CONNACK %d\n", mbedtls_ssl_get_ciphersuite(&ssl), answer[3]);
	return answer[0] == 0x20 && answer[3] == 0 ? 0 : 1;
}

int main(int count, char **words)
{
	if (count >= 5 && !strcmp(words[1], "verify"))
		return verify(count - 2, words + 2);
	if (count == 8 && !strcmp(words[1], "connect"))
		return connect_mqtt(words + 2);
	return 2;
}
