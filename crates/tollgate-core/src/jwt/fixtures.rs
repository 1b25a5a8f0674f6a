//! Public keys and certificates made with openssl, and tokens that openssl signed with their private
//! halves, which were thrown away. Every token says `{"sub":"acme","exp":2000}`.

/// `openssl pkey -pubout` of an RSA key of 2048 bits.
pub(super) const RSA_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAoXD9tePO9Wl8PyI9uAHy\n\
INwHaHzVwboMKcOWnUG0bpD8xmgJT2ktyGnwAylBDhXkKoG/frYqoT9YbzUgFHDp\n\
ia9e/AFI5In+LYv2WbggR1xRLwx2h3vu1lWEzSR397qqilQIF8Oj/sUmrsb/Bzvo\n\
HTnRr+WnpG7h3gWsYEJGPb7T6uVdFOZwhl8UxNhXQR8JcL+fNy1vaOnVKXLpE2SN\n\
J0CE7AZGhGHNQ4vW4Ehrq/xrcxWj+ARXrEfky/Ng6ghMO+emEIOT0bGc/j/zk8Kq\n\
xGMvJtqMa7H2TUvxlB2Nuw/sdIN3yqCFCTgA2n/N5nGVJ/m+7wSoL5M16MZu6FEr\n\
ZQIDAQAB\n\
-----END PUBLIC KEY-----\n";

/// `openssl rsa -RSAPublicKey_out` of the same key.
pub(super) const RSA_PUBLIC_PKCS1: &str = "\
-----BEGIN RSA PUBLIC KEY-----\n\
MIIBCgKCAQEAoXD9tePO9Wl8PyI9uAHyINwHaHzVwboMKcOWnUG0bpD8xmgJT2kt\n\
yGnwAylBDhXkKoG/frYqoT9YbzUgFHDpia9e/AFI5In+LYv2WbggR1xRLwx2h3vu\n\
1lWEzSR397qqilQIF8Oj/sUmrsb/BzvoHTnRr+WnpG7h3gWsYEJGPb7T6uVdFOZw\n\
hl8UxNhXQR8JcL+fNy1vaOnVKXLpE2SNJ0CE7AZGhGHNQ4vW4Ehrq/xrcxWj+ARX\n\
rEfky/Ng6ghMO+emEIOT0bGc/j/zk8KqxGMvJtqMa7H2TUvxlB2Nuw/sdIN3yqCF\n\
CTgA2n/N5nGVJ/m+7wSoL5M16MZu6FErZQIDAQAB\n\
-----END RSA PUBLIC KEY-----\n";

/// A certificate of the same key, valid for a single day.
pub(super) const RSA_CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIDEzCCAfugAwIBAgIUKjBBEQGvgX2EJXt/amXks7zfN9swDQYJKoZIhvcNAQEL\n\
BQAwGTEXMBUGA1UEAwwOaXNzdWVyLmV4YW1wbGUwHhcNMjYxMTIyMDQ1NDQyWhcN\n\
MjYxMTIzMDQ1NDQyWjAZMRcwFQYDVQQDDA5pc3N1ZXIuZXhhbXBsZTCCASIwDQYJ\n\
KoZIhvcNAQEBBQADggEPADCCAQoCggEBAKFw/bXjzvVpfD8iPbgB8iDcB2h81cG6\n\
DCnDlp1BtG6Q/MZoCU9pLchp8AMpQQ4V5CqBv362KqE/WG81IBRw6YmvXvwBSOSJ\n\
/i2L9lm4IEdcUS8Mdod77tZVhM0kd/e6qopUCBfDo/7FJq7G/wc76B050a/lp6Ru\n\
4d4FrGBCRj2+0+rlXRTmcIZfFMTYV0EfCXC/nzctb2jp1Sly6RNkjSdAhOwGRoRh\n\
zUOL1uBIa6v8a3MVo/gEV6xH5MvzYOoITDvnphCDk9GxnP4/85PCqsRjLybajGux\n\
9k1L8ZQdjbsP7HSDd8qghQk4ANp/zeZxlSf5vu8EqC+TNejGbuhRK2UCAwEAAaNT\n\
MFEwHQYDVR0OBBYEFI875Ta1zGttWflxdrfCEnO/nqhnMB8GA1UdIwQYMBaAFI87\n\
5Ta1zGttWflxdrfCEnO/nqhnMA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcNAQEL\n\
BQADggEBAHyyhTv6kCOCnOK74g70gpR61h8gRG2j1FBPBBifVVQU/EKsLTnWetU1\n\
Pi9yKQcxP3T/BcPeedoxy3GX6mo2T+MBsF3Vm02dMLlIaKRBIFpTpuwPotJ2Ywf3\n\
T2WZdMF5EtSJEe3rK+WUiKEXqfbCpD2/1O5BMmk9NhGsRucMQobHJ/KtZEmfZu0r\n\
erY1KtrUzN/9Ud6zhKbHhR3YIeoZtSmj2dQM0pOGFT1EjkjSo8FQ6ZnJ9eq3d9xa\n\
2O5TutnUZLKxZ17uwlc6vY0yXh7bbbKp4AYl29pQxDudhtJFmdWrSJe4b+gzC3s0\n\
fzh9YcI0704wJ38u6SDsilTgxS/km3U=\n\
-----END CERTIFICATE-----\n";

/// A P-256 key.
pub(super) const P256_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAES3uA/9JGo8x71lY5UcF689zbvi1j\n\
FZnUi+7SZnfA+eefXl1xNEis1CAQzlSsf6GCZFJ3r+OlEKmKwnA6JmaOeQ==\n\
-----END PUBLIC KEY-----\n";

/// A certificate of the same key.
pub(super) const P256_CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBiDCCAS+gAwIBAgIUCG9mMTY9MfdQ2SaQgLuBGvcA/gswCgYIKoZIzj0EAwIw\n\
GTEXMBUGA1UEAwwOaXNzdWVyLmV4YW1wbGUwIBcNMjYxMTIyMDQ1NDQyWhgPMjEy\n\
NjEwMjkwNDU0NDJaMBkxFzAVBgNVBAMMDmlzc3Vlci5leGFtcGxlMFkwEwYHKoZI\n\
zj0CAQYIKoZIzj0DAQcDQgAES3uA/9JGo8x71lY5UcF689zbvi1jFZnUi+7SZnfA\n\
+eefXl1xNEis1CAQzlSsf6GCZFJ3r+OlEKmKwnA6JmaOeaNTMFEwHQYDVR0OBBYE\n\
FOHOU0VykJYXfZHMB4Bw4GiYM05TMB8GA1UdIwQYMBaAFOHOU0VykJYXfZHMB4Bw\n\
4GiYM05TMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgQNQhGqx6\n\
M3p4rjCCe/T3K+xeZyjA3nw2dgOaW2PmILMCIGhl0vBcEv36SZfTp1pXB2z6MNoQ\n\
qaXg/sVjaQcvDuMI\n\
-----END CERTIFICATE-----\n";

/// A P-384 key.
pub(super) const P384_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE/mKNNtudisYuEukScQ3t1kXn/yGINTf8\n\
PLCNT0D8tJh48k/nJe1+XFp0CDQaB8W9oQ5h+0e6Bey9Jg0sG9cO3NFihjdNyf9g\n\
N+kUFtBSAA1pkdp4u4a8ILwaq7Ocru6q\n\
-----END PUBLIC KEY-----\n";

/// A P-521 key.
pub(super) const P521_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQAq6xtJK19XILCGPNANe2Q6bHBxgZx\n\
YmmGaFPNRQQnds4MoiA2mjQ2hn9GAS7RdDhpbMNwfELcMwJq1wNFPkXbidYA0oyu\n\
iEt86OwSrAMzxtL+pI2PtU9g3wk/WuE74tRf7xmVYOimLY+e7B49hmqhSlS/i4/B\n\
r5XspHK+octAgh7zmns=\n\
-----END PUBLIC KEY-----\n";

/// An Ed25519 key.
pub(super) const ED25519_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MCowBQYDK2VwAyEAQlgQs9/BGcq9h7RSHqsoz6+YcasfV4UEG+T5yhBl8Sw=\n\
-----END PUBLIC KEY-----\n";

/// A certificate of the same key.
pub(super) const ED25519_CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBSDCB+6ADAgECAhQEUPXoOlU3WaWFFnuy36dEQKClUzAFBgMrZXAwGTEXMBUG\n\
A1UEAwwOaXNzdWVyLmV4YW1wbGUwIBcNMjYxMTIyMDQ1NDQyWhgPMjEyNjEwMjkw\n\
NDU0NDJaMBkxFzAVBgNVBAMMDmlzc3Vlci5leGFtcGxlMCowBQYDK2VwAyEAQlgQ\n\
s9/BGcq9h7RSHqsoz6+YcasfV4UEG+T5yhBl8SyjUzBRMB0GA1UdDgQWBBQOROGj\n\
vnfQhf/6NmjFXlxKBUKM2DAfBgNVHSMEGDAWgBQOROGjvnfQhf/6NmjFXlxKBUKM\n\
2DAPBgNVHRMBAf8EBTADAQH/MAUGAytlcANBAKp1DMNmBqedVwiabYqpT19iqkE8\n\
FD8xR0mTFGHHOLtuTQ3GoGoUsjhPEfUHMAW0mr1d4wY5mKjM4hfZILzaCAU=\n\
-----END CERTIFICATE-----\n";

/// A secp256k1 key.
pub(super) const SECP256K1_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAE+kHYeKAUhUmWkFpBTCSaDQObWd6hAZOc\n\
I72p3Ml+ylCd0XDrpICWqP7BCN3hiLEHzP4bBVbqABWUT0yhli0qJw==\n\
-----END PUBLIC KEY-----\n";

/// An X25519 key.
pub(super) const X25519_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MCowBQYDK2VuAyEAzesvtbXxIoyNHkXq0n+lVFX1FsqHoRxaovm7HfA+YFI=\n\
-----END PUBLIC KEY-----\n";

/// An RSA key of 1024 bits.
pub(super) const RSA_1024_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDdx3IxzWQD7UhMHcr30OcgQWIJ\n\
i40jNs9wjCSL/behmrCeOD+6uTdlbheLZscvBCuNoIbPnFtfI8Eo0IpP2fLji1CO\n\
5vW1LiTAIRdmJkCBUL9XvrOs0y0sGJGnNKOZfE4+jqy2ba0ZA21FPZ5NQ2g2Vzzb\n\
FMZoiZV3f1agDdET7QIDAQAB\n\
-----END PUBLIC KEY-----\n";

/// A private key, of nothing: for what must not be in a key file.
pub(super) const ED25519_PRIVATE: &str = "\
-----BEGIN PRIVATE KEY-----\n\
MC4CAQAwBQYDK2VwBCIEIMG7GSqenomXGVylUkPDVL05x5tFCvhZfLrkdamfO/jo\n\
-----END PRIVATE KEY-----\n";

/// By the RSA key.
pub(super) const RS256_TOKEN: &str = "\
    eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhY21lIiwiZXhwIjoyMDAwfQ.e7XCkQOOa5YhBzKPj0-VZKlcx5BTiOlu\
    OStrmu4Iwu9Z2j9iYLowH1y3mDXQ2FvP79ctsSW7rN9lLCOdcrwR6AoTvdE-7tfm2EUBu9quMa2LO-VgBU-AwFT3\
    SfhYS5fmUiCBT6c1Jd_BAo4G-sY_yxWa50ZGLrfV-g-mcrEubSMAubE5AwIWzAmsE5_Crjbvqjopc_ZzqlSGbLNd\
    WtoScUlUXTAdI8M6mZ90fMHD2J0gk1JfpyTuDGSu7izPFwuNxC5soAm0JiaXa9yivuM8nz-a6wy3s9B7EERGu6b4\
    rn-tb9fUVxipUheKtVAbU9wpQGiL4gxFAnDBQP8mNmeHXQ";

/// By the RSA key.
pub(super) const RS384_TOKEN: &str = "\
    eyJhbGciOiJSUzM4NCJ9.eyJzdWIiOiJhY21lIiwiZXhwIjoyMDAwfQ.E4PRiL7dehkio4tXDl1nuL21aIGBmOK2\
    a5AN_PDFWc5ez7GF1I9SOtx7Ku1TSVMHlZBoW5uuL-o1XwOeXpigX9NjsRESkXx2WGOZS5Nz0gwD5ZEBGFKMPy9L\
    zA8rYBA47N7SBYMs7JiRBYY1Yu3pe1GZeCXkaSi6AnXJlVYr0OwuHgqeMvSHGRuoLxKAO5eLKVqsAvSeEz-UlUXm\
    fR94BlGjfTlhKdwOl8NC2TWZc6lMUXSl3pCZB1rajD0vgb4qPBJtvHAwrc0yL_6v46gGL1FBJXnUV7mzpHmujnXx\
    4S2ZFRbpYJ35rmq_Ck2mDSFXDYWOzT_uw-9e5hayMkg-WA";

/// By the RSA key.
pub(super) const RS512_TOKEN: &str = "\
    eyJhbGciOiJSUzUxMiJ9.eyJzdWIiOiJhY21lIiwiZXhwIjoyMDAwfQ.MbbS10aaiiiVNg4P8-iu9EQ9YW-vm8bT\
    x-nXnQ27BGyz0A_CEK3s-aZ702XnwrZ4VFEDosv4E_1XI_FvgM9EUgai0qAr57U_XuBIReoDlLrDWfohdrhYRf4J\
    Xuo3omAZpqH3w5FEB6D9GbuvkhQTe6oF4lNRp5sEVm3Viu7xlcm3lnRtLbkpIo9CdG9wMU5132IIfDpGd70xcnY7\
    d2VDx8etjtuHFrlfo0oQzv0ar2gNYBgOUqAqWzDcj0wkx-gVhLZ3W6FB0XyiF4BJSO3JGeqsEPpcluPQ47TioifW\
    VNuf3HTflD3hMQvKrN4_kxqE74yPpfK_A_VLoOXA-7rgUQ";

/// By the RSA key.
pub(super) const PS256_TOKEN: &str = "\
    eyJhbGciOiJQUzI1NiJ9.eyJzdWIiOiJhY21lIiwiZXhwIjoyMDAwfQ.h67BhOt4SqlHzzNpSplx0rY8Swya-w-p\
    k6Y86lf_lnZ_gKbrOa7Xk4xAfRFEt0dEqypwMip5MTmJQ1CAbNJTRQte1zKrF7m2UXOWjNhvBFFSFXAoujqeBYEP\
    YQ3v71-_XzI7fWQn1-qANvAlB2jOvZM00HGpAG2CV3M3TTUoou3BFGRGz_mghpt5qvuNsZw_icqHQYzGMlIRa1AJ\
    G_XUWmO17iNU8UW9KA2dKB3jHSsgAk2P2p5Wf_8-fc0eCbM-FVTICCgOhIPT58tL0uCAj1ql8lfCLnTJZWa3y7rb\
    7c576fb37_0AWqMfTfSDZitT5FNg-2CLSoViLpGq5VGiPw";

/// By the RSA key.
pub(super) const PS384_TOKEN: &str = "\
    eyJhbGciOiJQUzM4NCJ9.eyJzdWIiOiJhY21lIiwiZXhwIjoyMDAwfQ.cgzL4miH6Vxv6cRR3cufLBUKa3qneimb\
    PPbsyQY0Yt6B2-GtrNAHTGzmRhtB-bDsvlE2KGKSvyGM4SOpH-R-ul6XYX9lMgcL9BHtT3VmxAbbBopO4qD84rxn\
    AnYYq4V6LGDycZmyQjRHUFXm3TsFTGA7yGzZ5Rtu3qlb5HOZbEQShIDIM7ZSXvsWQJUSvvbRS-I9KK0p1qBrzuRD\
    CMG9j4jaTBsdad71K3DWf8J6v_Ax7VH34wf_7M8yhp4EuFipX_J0etbLijDDVr43wxLlWggvniSihm21AXLoekiS\
    64zoRFtIqt6vz3f07MTA41q_0nEqPDxd2yXnEaFQdb1fcA";

/// By the RSA key.
pub(super) const PS512_TOKEN: &str = "\
    eyJhbGciOiJQUzUxMiJ9.eyJzdWIiOiJhY21lIiwiZXhwIjoyMDAwfQ.aNhEzxCV1eTcTGrLarRocgNndkHzgE2T\
    K0qOQKSW9sEyMbJ9_Bi9Mohop4aZPxUUpqqneAND23fwSAojT1iMnVVg3DlveE7hATVsqCTn4x1AIvUbcpL_LxaQ\
    _34CH266OyYCLq9JtKIxAEhqcNaI2daW97hG1Uu4mZj9SV-xM4ostAhAkccWOu9mayabhG_CGAhjkejLWBBkeHzU\
    z5MgFBVchpcRYVDSkz_vww2Ihle9x1uaWenjUcUVZ3epOQOuHw6DpOj0xXNLFq_mevW17mTM1uF-J67e-csII4--\
    Ve687blhXeLXMPmF1a8iznaLMCnhQJtUdU3QKKSsC_4_7w";

/// By the P-256 key.
pub(super) const ES256_TOKEN: &str = "\
    eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhY21lIiwiZXhwIjoyMDAwfQ.c4tNdRAqcJqfSxgNc8DpdRmFn9s-LBmx\
    fIgVal5gfsdBYxvDZFujPJRtIMQU76Tqvc6t0ehugbAj0yYWYETwwQ";

/// By the P-384 key.
pub(super) const ES384_TOKEN: &str = "\
    eyJhbGciOiJFUzM4NCJ9.eyJzdWIiOiJhY21lIiwiZXhwIjoyMDAwfQ.I2Pghx1Ow3OXQaoTcXuTwLqq9hWC9zp9\
    xNhoufRTfGpTqbL4K_8Yk4TZSqn9Q9HA6f5aHzz4LZ-udERsxsykZkHdCz7ANBxmM6m-FG-4UryU90x8_ThIW9Ob\
    bYaALzVZ";

/// By the P-521 key.
pub(super) const ES512_TOKEN: &str = "\
    eyJhbGciOiJFUzUxMiJ9.eyJzdWIiOiJhY21lIiwiZXhwIjoyMDAwfQ.AOgTqJw_h0al6ycYn_3RlX-Zpq92gOQT\
    mVtQtubuYklO4XY8Kc0DQw9L5A42IoiXyoi3S4dNYtUagFuo81EmkX59ADxkKjyrQ6ONPmRx7rKKk1OdLjOWI75J\
    8zKnbpX1m7g2ZMMisLmz4aw3YxW7Ke13fmigdUaxcp_OZ8QyYY0u-hHd";

/// By the Ed25519 key.
pub(super) const EDDSA_TOKEN: &str = "\
    eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhY21lIiwiZXhwIjoyMDAwfQ.pzNejc7_SefDM99mzAOkvAKwXYOozMgD\
    CmR14rNhP-yNMH_o8QZT5TZIOHRPlAjaQQ8praNqK1S1ciIvkAaJBg";
