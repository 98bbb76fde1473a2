/* What wolfSSL, another library of small boards, makes of our files.
 *
 *   wolfssl CA CERT [CRL]     chain and revocation list (PEM)
 *
 * Prints what it found; status 0 is yes, 1 no, 2 something else went wrong. */
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <stdio.h>

int main(int count, char **words)
{
	WOLFSSL_CERT_MANAGER *manager;
	int code;

	if (count < 3 || wolfSSL_Init() != SSL_SUCCESS || !(manager = wolfSSL_CertManagerNew()))
		return 2;
	if ((code = wolfSSL_CertManagerLoadCA(manager, words[1], NULL)) != SSL_SUCCESS) {
		printf("%s: %s\n", words[1], wolfSSL_ERR_reason_error_string((unsigned long)code));
		return 2;
	}
	if (count > 3 && ((code = wolfSSL_CertManagerEnableCRL(manager, WOLFSSL_CRL_CHECKALL)) != SSL_SUCCESS
	                  || (code = wolfSSL_CertManagerLoadCRLFile(manager, words[3], SSL_FILETYPE_PEM)) != SSL_SUCCESS)) {
		printf("%s: %s\n", words[3], wolfSSL_ERR_reason_error_string((unsigned long)code));
		return 2;
	}
	code = wolfSSL_CertManagerVerify(manager, words[2], SSL_FILETYPE_PEM);
	if (code != SSL_SUCCESS) {
		printf("refused: %s\n", wolfSSL_ERR_reason_error_string((unsigned long)code));
		return 1;
	}
	puts("accepted");
	return 0;
}
