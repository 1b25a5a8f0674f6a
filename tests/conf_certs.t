#!/usr/bin/perl

# What nginx -t says of client certificates: what would be of no effect, or let in whom nobody meant.

use warnings;
use strict;

use Test::More;

use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ json keys_file /;
use Tollgate::Conf;

select STDERR; $| = 1;
select STDOUT; $| = 1;

# Keys are nobody else's business.
umask 077;

my $t = Test::Nginx->new()->has(qw/http http_ssl proxy/)->has_daemon('openssl');

my $dir = $t->testdir();
system('openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost '
	. "-keyout $dir/key.pem -out $dir/cert.pem >>$dir/openssl.out 2>&1") == 0
	or die "Can't create a certificate: $!\n";
$t->write_file('keys.json', keys_file({ key => 'tg_acme', client => 'acme', tier => 'free' }));
$t->write_file('certs.json', json({ version => 1, keys => [
	{ id => 'web', cert => 'spiffe://example.org/web', client => 'acme', tier => 'free' } ] }));

# In a server with TLS.
sub certs {
	my ($rule, %more) = @_;
	my $auth = $more{auth} // 'client_cert';
	my $keys = $more{keys} // 'tollgate_api_keys certs.json;';
	my $rest = $more{rest} // '';
	my @mark = map { ($more{mark} // 'rule') eq $_ ? ' # !' : '' } qw/ auth keys rule /;
	return "tollgate on;\ntollgate_auth $auth;$mark[0]\n$keys$mark[1]\n$rest\n"
		. (defined $rule ? "tollgate_client_cert $rule;$mark[2]\n" : '');
}

my $verified = "listen 127.0.0.1:8082 ssl;\nssl_certificate cert.pem;\nssl_certificate_key key.pem;\n"
	. "ssl_client_certificate cert.pem;\n";

my $unlisted = 'san_uri unlisted=default_tier';
my $tier = 'tollgate_default_tier free;';

my @refused = (
	['no rule', ['"tollgate_auth client_cert" needs to know', 'add "tollgate_client_cert san_uri'],
		location => "tollgate on; # !\ntollgate_auth client_cert;\ntollgate_api_keys certs.json;"],
	['no keys', ['would refuse every certificate', 'add "tollgate_api_keys PATH;"'],
		location => certs('san_uri', keys => '')],
	['unlisted without a tier', ['"unlisted=default_tier"', 'add "tollgate_default_tier NAME;"'],
		location => certs($unlisted)],
	['unlisted fingerprints', ['"unlisted=default_tier"', '"fingerprint"'],
		location => certs('fingerprint unlisted=default_tier', rest => $tier)],
	['a prefix for nobody', ['"client_prefix="', 'has no effect without "unlisted=default_tier"'],
		location => certs('san_uri client_prefix=a:')],
	['another kind', ['invalid name "san_email"', '"san_uri", "san_dns", "cn" or "fingerprint"'],
		location => certs('san_email')],
	['no kind', ['invalid name "spiffe://example.org/*"'], location => certs('spiffe://example.org/*')],
	['a star for the trust domain', ['"spiffe://*/web" in "tollgate_client_cert"', 'write the trust domain or host'],
		location => certs('san_uri spiffe://*/web')],
	['two stars', ['has "**"'], location => certs('san_uri spiffe://example.org/**')],
	['a pattern of another kind', ['would fit no name of this kind'], location => certs('san_dns spiffe://example.org/*')],
	['a pattern without a path', ['would fit no name'], location => certs('san_uri spiffe://example.org')],
	['a pattern of fingerprints', ['takes no pattern'], location => certs('fingerprint ab*')],
	['a trust domain in upper case', ['invalid "trust_domain=Example.org"'], location => certs('san_uri trust_domain=Example.org')],
	['a trust domain with a scheme', ['invalid "trust_domain=spiffe://a"'], location => certs('san_uri trust_domain=spiffe://a')],
	['a trust domain of hosts', ['"trust_domain="', 'is for "san_uri"'], location => certs('san_dns trust_domain=a')],
	['another word for the unlisted', ['invalid parameter "unlisted=allow"'], location => certs('san_uri unlisted=allow')],
	['the unlisted twice', ['invalid parameter "unlisted=deny"'], location => certs('san_uri unlisted=deny unlisted=deny')],
	['a variable', ['"tollgate_client_cert"', '$host'], location => certs('cn $host')],
	['twice', ['directive is duplicate'], location => certs('cn', rest => 'tollgate_client_cert cn;')],
	['where they are not accepted', ['"tollgate_client_cert" has no effect here', 'add "tollgate_auth client_cert;"'],
		location => certs('cn', auth => 'api_key', keys => 'tollgate_api_keys keys.json;')],
	['proxies where they are not accepted', ['"tollgate_xfcc_from" has no effect here'],
		location => "tollgate on;\ntollgate_api_keys keys.json;\ntollgate_xfcc_from 127.0.0.1; # !"],
	['proxies that are everybody', ['"0.0.0.0/0" in "tollgate_xfcc_from" is everybody'],
		location => certs(undef, rest => "tollgate_client_cert cn;\ntollgate_xfcc_from 0.0.0.0/0; # !")],
	['proxies that are everybody, v6', ['"::/0" in "tollgate_xfcc_from" is everybody'],
		location => certs(undef, rest => "tollgate_client_cert cn;\ntollgate_xfcc_from ::/0; # !")],
	['a proxy by its name', ['"envoy" in "tollgate_xfcc_from" is not an address'],
		location => certs(undef, rest => "tollgate_client_cert cn;\ntollgate_xfcc_from envoy; # !")],
	['a network with bits below its prefix', ['"10.0.0.1/8" in "tollgate_xfcc_from" has bits set'],
		location => certs(undef, rest => "tollgate_client_cert cn;\ntollgate_xfcc_from 10.0.0.1/8; # !")],
	['off beside others', ['"off" in "tollgate_xfcc_from"'],
		location => certs(undef, rest => "tollgate_client_cert cn;\ntollgate_xfcc_from 127.0.0.1 off; # !")],
	['beside none', ['"none" in "tollgate_auth" stands alone'],
		location => "tollgate on;\ntollgate_auth client_cert none; # !"],
	['a name of no form', ['"web"', 'field "cert" is no spiffe id'], location => certs('san_uri', mark => 'keys'),
		files => { 'certs.json' => json({ version => 1, keys => [
			{ id => 'web', cert => 'spiffe://example.org', client => 'acme' } ] }) }],
	['neither key nor certificate', ['"web"', 'field "hash" is missing, and so is "cert"'], location => certs('san_uri', mark => 'keys'),
		files => { 'certs.json' => json({ version => 1, keys => [ { id => 'web', client => 'acme' } ] }) }],
);

my @accepted = (
	['verified', location => certs('san_uri'), server => "${verified}ssl_verify_client on;"],
	['verified where there is one', location => certs('san_uri trust_domain=example.org trust_domain=a spiffe://a/*'),
		server => "${verified}ssl_verify_client optional;"],
	['of hosts', location => certs('san_dns *.example.org a.example'), server => "${verified}ssl_verify_client on;"],
	['of common names', location => certs('cn batch-*'), server => "${verified}ssl_verify_client on;"],
	['of fingerprints', location => certs('fingerprint unlisted=deny'), server => "${verified}ssl_verify_client on;"],
	['unlisted without a file', location => certs("$unlisted client_prefix=cert/", keys => '', rest => $tier),
		server => "${verified}ssl_verify_client on;"],
	['from proxies', location => certs('san_uri', rest => 'tollgate_xfcc_from 10.0.0.0/8 fd00::/8 192.0.2.1 unix:;')],
	['from no proxies', location => certs('san_uri', rest => 'tollgate_xfcc_from off;'),
		server => "${verified}ssl_verify_client on;"],
);

my @warned = (
	['no TLS', ['"tollgate_auth client_cert" accepts no certificate', 'asks for none', 'ssl_verify_client optional'],
		location => certs('san_uri', mark => 'auth')],
	['no verification', ['accepts no certificate', 'asks for none'], location => certs('san_uri', mark => 'auth'), server => $verified],
	['anybody', ['accepts no certificate', 'optional_no_ca'], location => certs('san_uri', mark => 'auth'),
		server => "${verified}ssl_verify_client optional_no_ca;"],
	['verification without TLS', ['accepts no certificate', 'has no TLS'], location => certs('san_uri', mark => 'auth'),
		server => "ssl_client_certificate cert.pem;\nssl_verify_client on;"],
	['no certificate in the file', ['no entry of the keys file has a "cert"', 'tollgate key create --cert'],
		location => certs('san_uri', keys => 'tollgate_api_keys keys.json;'), server => "${verified}ssl_verify_client on;"],
);

$t->plan(@refused + 2 * @accepted + @warned);

# A case may leave a file of its own behind.
check_accepted($t, $_) for @accepted;
check_warned($t, $_) for @warned;
check_refused($t, $_) for @refused;

###############################################################################
