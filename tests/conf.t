#!/usr/bin/perl

# What nginx -t refuses, and warns of: whatever would be silently unsafe or of no effect. Every
# message names the directive, the file, the line, and the way out. Limits, and what meters
# them, are in conf_limits.t.

use warnings;
use strict;

use Test::More;

use IO::Socket::UNIX;
use MIME::Base64 qw/ encode_base64 encode_base64url /;
use POSIX qw/ mkfifo /;

use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/json keys_file/;
use Tollgate::Conf;

select STDERR; $| = 1;
select STDOUT; $| = 1;

# Secrets are nobody else's business.
umask 077;

my $t = Test::Nginx->new()->has(qw/http limit_req proxy rewrite/);

# RFC 7517 appendix A.1 and A.3, and a P-256 key.
my $public = {
	kty => 'EC', crv => 'P-256', kid => 'ec', x => 'MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4',
	y => '4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM',
};
my $private = { %$public, d => '870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE' };
my $shared = { kty => 'oct', k => 'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0i' };
my $pem = <<'EOF';
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAES3uA/9JGo8x71lY5UcF689zbvi1j
FZnUi+7SZnfA+eefXl1xNEis1CAQzlSsf6GCZFJ3r+OlEKmKwnA6JmaOeQ==
-----END PUBLIC KEY-----
EOF

my %acme = (key => 'tg_acme', client => 'acme', tier => 'free');

$t->write_file('keys.json', keys_file({ %acme }));
$t->write_file('no-tier.json', keys_file({ key => 'tg_acme', client => 'acme' }));
$t->write_file('secret', 's' x 32);
$t->write_file('public.pem', $pem);
$t->write_file('included.conf', "\ntollgate_default_tier nope;\n");

my $dir = $t->testdir();

# Both have somebody at their other end.
my $socket = IO::Socket::UNIX->new(Local => "$dir/socket", Listen => 1) or die "Can't listen: $!\n";
mkfifo("$dir/pipe", 0600) or die "Can't make a pipe: $!\n";
open my $pipe, '+<', "$dir/pipe" or die "Can't open the pipe: $!\n";

# Cases of Tollgate::Conf.
my @refused;

###############################################################################
# what "tollgate on" needs

push @refused, (
	['on, without a zone', ['"tollgate on"', 'add "tollgate_zone zone='],
		http => 'tollgate_tier free { }', location => "tollgate on; # !\ntollgate_api_keys keys.json;"],
	['on, without keys', ['"tollgate on"', 'add "tollgate_api_keys PATH;"'],
		location => 'tollgate on; # !'],
	['on for all servers, without keys', ['"tollgate on"', 'add "tollgate_api_keys PATH;"'],
		http => "$usual{http}\ntollgate on; # !", location => ''],
	['tokens, without keys', ['"tollgate_auth jwt"', 'add "tollgate_jwt_key_file PATH;"'],
		location => "tollgate on; # !\ntollgate_auth jwt;"],
	['keys and tokens, without keys for tokens', ['add "tollgate_jwt_key_file PATH;"'],
		location => "tollgate on; # !\ntollgate_api_keys keys.json;\ntollgate_auth api_key jwt;"],
	['nobody, without a limit', ['"tollgate_auth none"', '"tollgate_apply"', '"tollgate off"'],
		location => "tollgate on; # !\ntollgate_auth none;"],
	['nobody, with a limit of failures only', ['"tollgate_auth none"', 'with "requests="'],
		http => "$usual{http}\ntollgate_limit f key=\$remote_addr auth_failures=1r/s;",
		location => "tollgate on; # !\ntollgate_auth none;\ntollgate_apply f;"],
);

# names of what is declared elsewhere

push @refused, (
	['unknown default tier', ['"tollgate_default_tier nope"', 'declare it with "tollgate_tier nope {'],
		location => "$usual{location}\ntollgate_default_tier nope; # !"],
	['a tier in another case', ['"tollgate_default_tier Free"', 'tollgate_tier Free'],
		location => "$usual{location}\ntollgate_default_tier Free; # !"],
	['unknown limit', ['"tollgate_apply nope"', 'declare it with "tollgate_limit nope key='],
		location => "$usual{location}\ntollgate_apply nope; # !"],
	['a status in a folder that is missing', ['"tollgate_status_file', 'no-such/status', 'make the folder'],
		http => "$usual{http}\ntollgate_status_file no-such/status; # !"],
	['a status that is a folder', ['"tollgate_status_file', 'name a file'],
		http => "$usual{http}\ntollgate_status_file $dir; # !"],
	['a status that is a device', ['"tollgate_status_file"', 'a device', 'name a file'],
		http => "$usual{http}\ntollgate_status_file /dev/null; # !"],
	['a status in syslog', ['"tollgate_status_file" can\'t write to syslog', 'use a file instead'],
		http => "$usual{http}\ntollgate_status_file syslog:server=127.0.0.1; # !"],
	['a status by variable', ['"tollgate_status_file" can\'t have variables'],
		http => "$usual{http}\ntollgate_status_file status-\$pid; # !"],
	['a status that is on', ['"tollgate_status_file" takes the path of a file'],
		http => "$usual{http}\ntollgate_status_file on; # !"],
	['a state in memory', ['"state=" of "tollgate_zone" can\'t write to a buffer in memory', 'instead'],
		http => "tollgate_zone zone=tollgate:1m state=memory:1m; # !\ntollgate_tier free { }"],
	['a state by variable', ['"state=" of "tollgate_zone" can\'t have variables'],
		http => "tollgate_zone zone=tollgate:1m state=/tmp/\$hostname; # !\ntollgate_tier free { }"],
	['a state that is off', ['"state=" of "tollgate_zone" takes the path of a file'],
		http => "tollgate_zone zone=tollgate:1m state=off; # !\ntollgate_tier free { }"],
	['two places for the status', ['"tollgate_status_file" directive is duplicate'],
		http => "$usual{http}\ntollgate_status_file off;\ntollgate_status_file off; # !"],
	['in an included file', ['"tollgate_default_tier nope"', 'included.conf:2'],
		location => "$usual{location}\ninclude included.conf;"],
);

# the keys file

my %entry = (id => 'k_1', client => 'acme', hash => 'sha256:' . 'a' x 64);
my %keys_files = (
	'empty' => ['', 'is not one json object'],
	'no JSON' => ['tg_secret', 'is not one json object'],
	'cut short' => [substr(keys_file({ %acme }), 0, -1), 'is not one json object'],
	'two documents' => [keys_file({ %acme }) . '{}', 'is not one json object'],
	'a list' => ['[]', 'is not a json object'],
	'byte order mark' => ["\xef\xbb\xbf" . keys_file({ %acme }), 'byte order mark', 'save it as utf-8'],
	'no keys' => [keys_file(), 'holds no keys', 'tollgate key create'],
	'no version' => [json({ keys => [{ %entry }] }), 'field "version" is missing'],
	'another version' => [json({ version => 2, keys => [] }), 'field "version" must be 1'],
	'unknown field of the file' => [json({ version => 1, keys => [], users => [] }), '"users" is unknown'],
	'unknown field' => [file(expiry => '2027-01-01T00:00:00Z'), 'key "k_1"', '"expiry" is unknown', 'expires'],
	'no client' => [file(client => undef), 'key "k_1"', '"client" is missing'],
	'no id' => [file(id => undef), 'keys[0]', '"id" is missing'],
	'no hash' => [file(hash => undef), 'key "k_1"', '"hash" is missing'],
	'a key for its hash' => [file(hash => 'tg_secret'), 'key "k_1"', '"hash" must be "sha256:"'],
	'a hash in upper case' => [file(hash => 'sha256:' . 'A' x 64), '"hash" must be "sha256:"'],
	'hash of nothing' => [file(hash =>
		'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'), 'empty string'],
	'bad date' => [file(expires => '2027-13-01T00:00:00Z'), 'key "k_1"', '"expires"'],
	'a date without time' => [file(expires => '2027-01-01'), 'key "k_1"', '"expires"'],
	'a date as a number' => [file(expires => 1893456000), 'key "k_1"', '"expires" must be a string'],
	'null' => [file(expires => 'x') =~ s/"x"/null/r, '"expires" must be a string', 'leave it out'],
	'never valid' => [file(expires => '2026-01-01T00:00:00Z', not_before => '2027-01-01T00:00:00Z'),
		'key "k_1"', '"expires"'],
	'bad network' => [file(cidrs => ['10.0.0.0/8', '10.0.0/8']), 'key "k_1"', '"cidrs"', '[1]'],
	'host bits' => [file(cidrs => ['10.0.0.1/8']), '"cidrs"', 'write "10.0.0.0/8"'],
	'no networks' => [file(cidrs => []), '"cidrs" is an empty array', 'leave it out'],
	'disabled as a string' => [file(disabled => 'false'), '"disabled" must be true or false'],
	'client with a line break' => [file(client => "a\r\nX-Client-Tier: pro"), '"client" must be'],
	'duplicate id' => [json({ version => 1, keys => [{ %entry },
		{ %entry, hash => 'sha256:' . 'b' x 64 }] }), 'key "k_1"', '"id"', 'keys[0] and keys[1]'],
	'duplicate key' => [json({ version => 1, keys => [{ %entry }, { %entry, id => 'k_2' }] }),
		'key "k_2"', '"hash"', 'key "k_1"'],
	'duplicate field' => [file() =~ s/"id"/"client":"root","id"/r, '"client" occurs twice'],
	'duplicate field, escaped' => [file() =~ s/"id"/"\\u0063lient":"root","id"/r, '"client" occurs twice'],
	'a key for the id' => [file(id => 'tg_' . 'x' x 43), 'keys[0]', '"id"'],
);
for my $what (sort keys %keys_files) {
	my ($content, @message) = @{$keys_files{$what}};
	push @refused, ["keys file, $what", ['"tollgate_api_keys"', 'bad.json', @message],
		files => { 'bad.json' => $content }, http => "$usual{http}\ntollgate_default_tier free;",
		location => "tollgate on;\ntollgate_api_keys bad.json; # !"];
}
push @refused, (
	['keys file, missing', ['"tollgate_api_keys"', 'cannot read', 'no-such.json', 'No such file'],
		location => "tollgate on;\ntollgate_api_keys no-such.json; # !"],
	['keys file, a directory', ['"tollgate_api_keys"', 'cannot read', "\"$dir\""],
		location => "tollgate on;\ntollgate_api_keys $dir; # !"],
	$> == 0 ? () : ['keys file, not for us', ['"tollgate_api_keys"', 'cannot read', 'Permission denied'],
		files => { 'closed.json' => '' }, mode => 0, location =>
		"tollgate on;\ntollgate_api_keys closed.json; # !"],
	['keys file without effect', ['"tollgate_api_keys"', '"tollgate_auth"', '"api_key"'],
		location => "tollgate on;\ntollgate_auth jwt;\ntollgate_jwt_key_file secret;\n"
			. 'tollgate_api_keys keys.json; # !'],
	['header without effect', ['"tollgate_api_key_header"', 'add "tollgate_auth api_key;"'],
		location => "tollgate on;\ntollgate_auth jwt;\ntollgate_jwt_key_file secret;\n"
			. 'tollgate_api_key_header X-Key; # !'],
);

# the keys of tokens

my $jwt = "tollgate on;\ntollgate_auth jwt;\ntollgate_default_tier free;";
my %key_files = (
	'empty' => ['', 'the file is empty'],
	'a short secret' => ['s' x 31, 'too short', 'at least 32 bytes'],
	'a short secret with a line break' => ['s' x 31 . "\n", 'too short'],
	'a short secret in a key set' => [json({ keys => [{ kty => 'oct', k => 'c2hvcnQ' }] }), 'too short'],
	'no JSON' => ['{"keys":[', 'starts as JSON'],
	'no key set' => ['{"kid":"x"}', 'neither a JWK Set nor a JWK'],
	'an empty key set' => ['{"keys":[]}', 'no key for verifying'],
	'keys for another use' => [json({ keys => [{ %$public, use => 'enc' }] }), '"use"'],
	'a private key' => [json({ keys => [$private] }), 'key 1', 'private key', 'public key only'],
	'a private key in PEM' => [$pem =~ s/PUBLIC/PRIVATE/gr, 'private key'],
	'a damaged key' => [$pem =~ s/MFk/MFx/r, 'damaged PEM'],
	'a key without its end' => [$pem =~ s/-----END.*//r, 'damaged PEM'],
	'a request for a certificate' => [$pem =~ s/PUBLIC KEY/CERTIFICATE REQUEST/gr, 'PUBLIC KEY'],
	'a public key bare of PEM' => [$pem =~ s/-----.*-----\n//gr, 'public by its nature'],
	'a public key in base64' => [encode_base64($pem, ''), 'public by its nature'],
	'a public key as a secret of a set' => [json({ kty => 'oct', k => encode_base64url($pem) }), 'public'],
	'an example' => ['a-string-secret-at-least-256-bits-long', 'jwt.io', 'keygen'],
	'a point of small order' => [json({ kty => 'OKP', crv => 'Ed25519',
		x => encode_base64url("\1" . "\0" x 31) }), 'anybody can sign'],
	'no point of the curve' => [json({ keys => [{ %$public, x => $public->{y} }] }), 'no point'],
	'an algorithm of another kind' => [json({ keys => [{ %$public, alg => 'RS256' }] }), '"alg"'],
	'a page from the web' => ['<!DOCTYPE html><html><title>404 Not Found</title></html>', 'public'],
);
for my $what (sort keys %key_files) {
	my ($content, @message) = @{$key_files{$what}};
	push @refused, ["key file, $what", ['"tollgate_jwt_key_file"', 'bad.key', @message],
		files => { 'bad.key' => $content }, location => "$jwt\ntollgate_jwt_key_file bad.key; # !"];
}
push @refused, (
	['key file, missing', ['"tollgate_jwt_key_file"', 'cannot read', 'no-such.pem'],
		location => "$jwt\ntollgate_jwt_key_file no-such.pem; # !"],
	['key file, twice', ['key file', 'named twice'],
		location => "$jwt\ntollgate_jwt_key_file secret;\ntollgate_jwt_key_file secret; # !"],
	['key file, one of two is bad', ['"tollgate_jwt_key_file"', 'bad.key', 'too short'],
		files => { 'bad.key' => 'short' },
		location => "$jwt\ntollgate_jwt_key_file secret; # !\ntollgate_jwt_key_file bad.key;"],
	['keys of an issuer that is not accepted', ['"tollgate_jwt_key_file"', 'secret', '"https://a/"',
		'not accepted', 'to the letter'],
		location => "$jwt\ntollgate_jwt_key_file secret issuer=https://a/; # !\n"
			. 'tollgate_jwt_issuer https://a;'],
	['an issuer without keys', ['"tollgate_jwt_key_file"', '"https://b" is accepted', '"issuer="'],
		location => "$jwt\ntollgate_jwt_key_file secret issuer=https://a; # !\n"
			. 'tollgate_jwt_issuer https://a https://b;'],
	['keys that verify nothing', ['"tollgate_jwt_key_file"', 'secret2', 'verify no token', '"issuer="'],
		files => { secret2 => 't' x 32 },
		location => "$jwt\ntollgate_jwt_key_file secret issuer=https://a; # !\n"
			. "tollgate_jwt_key_file secret2;\ntollgate_jwt_issuer https://a;"],
	['a prefix that is how another one begins', ['"tollgate_jwt_key_file"', 'prefix "a:"', '"client_prefix="'],
		files => { secret2 => 't' x 32 },
		location => "$jwt\ntollgate_jwt_key_file secret client_prefix=a:; # !\n"
			. 'tollgate_jwt_key_file secret2 client_prefix=a:b:;'],
	['a prefix for some', ['"tollgate_jwt_key_file"', 'prefix ""', '"client_prefix="'],
		files => { secret2 => 't' x 32 },
		location => "$jwt\ntollgate_jwt_key_file secret client_prefix=a:; # !\n"
			. 'tollgate_jwt_key_file secret2;'],
	['prefix without effect', ['"tollgate_jwt_client_prefix"', 'add "tollgate_auth jwt;"'],
		location => "$usual{location}\ntollgate_jwt_client_prefix jwt:; # !"],
	['more keys without kid than are tried', ['"tollgate_jwt_key_file"', 'many.pem', 'give them a "kid"'],
		files => { 'many.pem' => $pem x 9 }, location => "$jwt\ntollgate_jwt_key_file many.pem; # !"],
	['key file without effect', ['"tollgate_jwt_key_file"', 'add "tollgate_auth jwt;"'],
		location => "$usual{location}\ntollgate_jwt_key_file secret; # !"],
	['key file without effect by another method', ['"tollgate_jwt_key_file"', '"tollgate_auth"'],
		location => "$usual{location}\ntollgate_auth api_key;\ntollgate_jwt_key_file secret; # !"],
	['issuer without effect', ['"tollgate_jwt_issuer"', 'add "tollgate_auth jwt;"'],
		location => "$usual{location}\ntollgate_jwt_issuer https://login.example.com; # !"],
	['mixed kinds', ['"tollgate_jwt_algorithms"', 'secrets and public keys', 'name the algorithms'],
		location => "$jwt\ntollgate_jwt_key_file secret; # !\ntollgate_jwt_key_file public.pem;"],
	['mixed kinds in one key set', ['"tollgate_jwt_algorithms"', 'name the algorithms'],
		files => { 'bad.key' => json({ keys => [$public, $shared] }) },
		location => "$jwt\ntollgate_jwt_key_file bad.key; # !"],
	['algorithms that no key has', ['"tollgate_jwt_algorithms"', 'no key can be used'],
		location => "$jwt\ntollgate_jwt_key_file public.pem;\ntollgate_jwt_algorithms RS256; # !"],
);

# values of directives, each with the usual configuration around it

my %values = (
	'tollgate ON' => ['"tollgate"', 'must be "on" or "off"'],
	'tollgate_dry_run yes' => ['"tollgate_dry_run"', 'must be "on" or "off"'],
	'tollgate_pass_credentials 1' => ['"tollgate_pass_credentials"', 'must be "on" or "off"'],
	'tollgate_jwt_require_exp no' => ['"tollgate_jwt_require_exp"', 'must be "on" or "off"'],
	'tollgate_auth apikey' => ['"tollgate_auth"', '"apikey"', 'known are "api_key", "jwt"'],
	'tollgate_auth none jwt' => ['"none" in "tollgate_auth" stands alone'],
	'tollgate_auth' => ['invalid number of arguments in "tollgate_auth"'],
	'tollgate_api_keys' => ['invalid number of arguments in "tollgate_api_keys"'],
	'tollgate_api_key_header "X Key"' => ['"X Key" is no header name'],
	'tollgate_api_key_header X-Key:' => ['"X-Key:" is no header name'],
	'tollgate_api_key_header ""' => ['"" is no header name'],
	'tollgate_api_key_header Authorization:' => ['"Authorization:" is no header name', 'without a colon'],
	'tollgate_api_key_header $http_x_api_key' => ['"$http_x_api_key"', 'a variable', 'X-API-Key'],
	'tollgate_api_key_header Authorization Bearer' => ['"Bearer"', 'word before a credential'],
	'tollgate_api_key_header Host' => ['"Host" can\'t hold a key', 'name of its own'],
	'tollgate_api_key_header content-length' => ['"content-length" can\'t hold a key'],
	'tollgate_api_key_header X-Client-ID' => ['"X-Client-ID" can\'t hold a key', 'Tollgate writes'],
	'tollgate_api_key_header X-Forwarded-For' => ['"X-Forwarded-For" can\'t hold a key', 'proxies'],
	'tollgate_api_key_header X-Key x-key' => ['"X-Key" is named twice', 'case is ignored'],
	'tollgate_jwt_algorithms none' => ['"none"', '"tollgate_jwt_algorithms"', 'known are HS256'],
	'tollgate_jwt_algorithms hs256' => ['"hs256"', '"tollgate_jwt_algorithms"', 'known are'],
	'tollgate_jwt_key_file secret issuer=' => ['"issuer="', '"tollgate_jwt_key_file"', '"issuer=VALUE"'],
	'tollgate_jwt_key_file secret issuer=a issuer=a' => ['"issuer=a"', 'twice'],
	'tollgate_jwt_key_file secret iss=a' => ['"iss=a"', '"issuer=VALUE"'],
	'tollgate_jwt_key_file secret "client_prefix= a"' => ['"client_prefix= a"', 'up to 64 bytes'],
	'tollgate_jwt_key_file secret client_prefix=a client_prefix=b' => ['"client_prefix=b"', 'one'],
	'tollgate_jwt_key_request off issuer=a' => ['"off" in "tollgate_jwt_key_request"', 'alone'],
	'tollgate_jwt_key_request /_jwks issuer=' => ['"issuer="', '"tollgate_jwt_key_request"'],
	'tollgate_jwt_client_prefix "a "' => ['"a "', '"tollgate_jwt_client_prefix"', '"jwt:"'],
	'tollgate_jwt_issuer ""' => ['empty value in "tollgate_jwt_issuer"'],
	'tollgate_jwt_audience api ""' => ['empty value in "tollgate_jwt_audience"'],
	'tollgate_jwt_leeway 2h' => ['"2h" in "tollgate_jwt_leeway"', 'up to 1h'],
	'tollgate_jwt_leeway 500ms' => ['"500ms" in "tollgate_jwt_leeway"', 'whole seconds'],
	'tollgate_jwt_leeway -1s' => ['"-1s" in "tollgate_jwt_leeway"'],
	'tollgate_jwt_max_size 255' => ['"255" in "tollgate_jwt_max_size"', 'takes 256 to 1m'],
	'tollgate_jwt_max_size 2m' => ['"2m" in "tollgate_jwt_max_size"', 'takes 256 to 1m'],
	'tollgate_jwt_max_size x' => ['"x" in "tollgate_jwt_max_size"', 'takes 256 to 1m'],
	'tollgate_jwt_claim user sub' => ['tollgate_jwt_claim user sub', 'expected client, tier'],
	'tollgate_jwt_claim client a..b' => ['tollgate_jwt_claim client a..b', 'single dots'],
	'tollgate_jwt_claim client ""' => ['tollgate_jwt_claim client', 'name of a claim'],
	'tollgate_jwt_claim client' => ['invalid number of arguments in "tollgate_jwt_claim"'],
	'tollgate_ratelimit_headers on' => ['"on" in "tollgate_ratelimit_headers"', '"openai", "ietf"'],
	'tollgate_ratelimit_headers off ietf' => ['"tollgate_ratelimit_headers"', '"off" alone'],
	'tollgate_audit_log a.log buffer=1' => ['"buffer=1" of "tollgate_audit_log"', '1k to 64m'],
	'tollgate_audit_log a.log buffer=65m' => ['"buffer=65m" of "tollgate_audit_log"', '1k to 64m'],
	'tollgate_audit_log a.log flush=0' => ['"flush=0" of "tollgate_audit_log"', '1ms to 1h'],
	'tollgate_audit_log a.log flush=2h' => ['"flush=2h" of "tollgate_audit_log"', '1ms to 1h'],
	'tollgate_audit_log a.log main' => ['"main" of "tollgate_audit_log"', '"buffer=SIZE"'],
	'tollgate_audit_log a.log gzip' => ['"gzip" of "tollgate_audit_log"', 'logrotate'],
	'tollgate_audit_log a.log gzip=9' => ['"gzip=9" of "tollgate_audit_log"', 'logrotate'],
	'tollgate_audit_log a.log if=$arg_a' => ['"if=$arg_a" of "tollgate_audit_log"', 'leave it out'],
	'tollgate_audit_log a.log combined' => ['"combined" of "tollgate_audit_log"', 'lines are JSON'],
	'tollgate_audit_log syslog:server=127.0.0.1:514,tag=x' => ['"tollgate_audit_log" can\'t write to syslog',
		'use a file instead'],
	'tollgate_audit_log stderr' => ['"tollgate_audit_log" can\'t', 'use "/dev/stderr"', 'instead'],
	'tollgate_audit_log memory:32m' => ['"tollgate_audit_log" can\'t', 'memory', 'instead'],
	'tollgate_audit_log a/$host.log' => ['"tollgate_audit_log" can\'t have variables', 'without "$"'],
	'tollgate_audit_log "|/bin/cat"' => ['"tollgate_audit_log" can\'t write to a command', 'use a file'],
	'tollgate_audit_log https://logs.example.com/' => ['"tollgate_audit_log" can\'t write to a URL'],
	'tollgate_audit_log on' => ['"tollgate_audit_log" takes the path of a file', '"./"'],
	'tollgate_audit_log OFF' => ['"tollgate_audit_log" takes the path of a file'],
	"tollgate_audit_log $dir" => ['"tollgate_audit_log"', 'is a folder', 'name a file in it'],
	'tollgate_audit_log logs-of/' => ['"tollgate_audit_log"', 'is a folder', 'name a file in it'],
	'tollgate_audit_log no-such/a.log' => ['"tollgate_audit_log"', 'no-such/a.log', 'make the folder'],
	"tollgate_audit_log $dir/socket" => ['"tollgate_audit_log"', 'a socket', 'name a file'],
	'tollgate_api_keys off' => ['"tollgate_api_keys" takes the path of a file'],
	'tollgate_api_keys $host.json' => ['"tollgate_api_keys" can\'t have variables', 'without "$"'],
	'tollgate_api_keys https://keys.example.com/' => ['"tollgate_api_keys" can\'t read a URL', 'instead'],
	'tollgate_jwt_key_file data:870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE' =>
		['"tollgate_jwt_key_file" can\'t read anything but a file', 'use its path'],
	'tollgate_jwt_key_file https://login.example.com/keys' => ['"tollgate_jwt_key_file" can\'t read a URL',
		'"tollgate_jwt_key_request"'],
	'tollgate_jwt_key_file $secret' => ['"tollgate_jwt_key_file" can\'t have variables'],
	'tollgate_audit_log off buffer=1k' => ['"tollgate_audit_log"', '"off"'],
	'tollgate_audit_log ""' => ['"tollgate_audit_log"'],
	'tollgate_api_keys ""' => ['"tollgate_api_keys"'],
	'tollgate_default_tier ""' => ['"tollgate_default_tier'],
	"tollgate_api_keys \xff.json" => ['not valid UTF-8'],
	'tollgate_apply lim lim' => ['"lim"', 'applied twice'],
	'tollgate_apply off lim' => ['"tollgate_apply'],
	'if ($arg_a) { tollgate off; }' => ['"tollgate" directive is not allowed here'],
	'limit_except GET { tollgate off; }' => ['"tollgate" directive is not allowed here'],
);
for my $directive (sort keys %values) {
	my $line = $directive =~ /\}$/ ? "$directive # !" : "$directive; # !";
	push @refused, ["'" . $directive =~ s/[^ -~]/?/gr . "'", $values{$directive},
		http => "$usual{http}\ntollgate_limit lim key=a requests=1r/s;",
		location => $directive =~ /^tollgate ON/ ? $line
			: $directive =~ /^tollgate_jwt_key_file (?:data|https|\$)/ ? "$jwt\n$line"
			: $directive =~ /^tollgate_api_keys/ ? "tollgate on;\n$line" : "$usual{location}\n$line"];
}

# twice in one place

for my $directive ('tollgate on', 'tollgate_dry_run off', 'tollgate_pass_credentials on',
	'tollgate_auth api_key', 'tollgate_api_keys keys.json', 'tollgate_api_key_header X-Key',
	'tollgate_jwt_algorithms HS256', 'tollgate_jwt_issuer a', 'tollgate_jwt_audience a',
	'tollgate_jwt_leeway 1s', 'tollgate_jwt_require_exp on', 'tollgate_jwt_max_size 1k',
	'tollgate_default_tier free', 'tollgate_apply off', 'tollgate_ratelimit_headers ietf',
	'tollgate_audit_log off')
{
	my ($name) = $directive =~ /^(\S+)/;
	push @refused, ["twice, $name", ["\"$name\" directive is duplicate"],
		location => "$directive;\n$directive; # !"];
}
push @refused, (
	['twice, one field of a claim', ['the field "client" is given two claims'],
		location => "tollgate_jwt_claim client a;\ntollgate_jwt_claim client b; # !"],
	['twice, parameter of the audit log', ['"buffer="', '"tollgate_audit_log"', 'given twice'],
		location => 'tollgate_audit_log a.log buffer=1k buffer=2k; # !'],
);

push @refused, (
	['two buffers for one audit log', ['"tollgate_audit_log', 'a.log', 'give both the same'],
		location => "$usual{location}\ntollgate_audit_log a.log;",
		server => "location /other {\n$usual{location}\ntollgate_audit_log a.log buffer=1k; # !\n}"],
	['the audit log of somebody else', ['"tollgate_audit_log"', 'access.log', 'a file of its own'],
		http => "$usual{http}\naccess_log $dir/both-access.log combined buffer=4k;",
		location => "$usual{location}\ntollgate_audit_log $dir/both-access.log; # !"],
);

###############################################################################
# and what is accepted

my @accepted = (
	['the usual configuration'],
	['nothing at all', http => '', location => ''],
	['on for all servers', http =>
		"$usual{http}\ntollgate on;\ntollgate_api_keys keys.json;", location => ''],
	['off within on', http => "$usual{http}\ntollgate on;\ntollgate_api_keys keys.json;",
		location => 'tollgate off;'],
	['off, and all else is wrong', http => "$usual{http}\ntollgate on;\ntollgate_api_keys keys.json;",
		location => "tollgate off;\ntollgate_api_keys no-such.json;"],
	['nobody, with a limit', http => "$usual{http}\ntollgate_limit lim key=a requests=1r/s;",
		location => "tollgate on;\ntollgate_auth none;\ntollgate_apply lim;"],
	['tokens', location => "$jwt\ntollgate_jwt_key_file secret;"],
	['tokens, public key', location => "$jwt\ntollgate_jwt_key_file public.pem;"],
	['tokens, key set', files => { 'good.key' => json({ keys => [$public] }) },
		location => "$jwt\ntollgate_jwt_key_file good.key;"],
	['mixed kinds, and which to accept', location => "$jwt\ntollgate_jwt_key_file secret;\n"
		. "tollgate_jwt_key_file public.pem;\ntollgate_jwt_algorithms HS256 ES256;"],
	['keys of two issuers, each with its own', files => { secret2 => 't' x 32 },
		location => "$jwt\ntollgate_jwt_issuer https://a https://b;\n"
			. "tollgate_jwt_key_file secret issuer=https://a client_prefix=a:;\n"
			. 'tollgate_jwt_key_file secret2 issuer=https://b client_prefix=b:;'],
	['two key files of one issuer', files => { secret2 => 't' x 32 },
		location => "$jwt\ntollgate_jwt_issuer https://a;\n"
			. "tollgate_jwt_key_file secret;\ntollgate_jwt_key_file secret2;"],
	['one key file of an issuer with two names',
		location => "$jwt\ntollgate_jwt_issuer https://a a;\ntollgate_jwt_key_file secret;"],
	['a key for another use among others', files => { 'keys.jwks' => json({ keys => [$public,
		{ %$public, kid => 'e', use => 'enc' }, { %$public, kid => 'o', alg => 'RSA-OAEP' }] }) },
		location => "$jwt\ntollgate_jwt_key_file keys.jwks;"],
	['keys with PEM in another member, and a name of RFC 9864', files => { 'keys.jwks' => json({ keys => [
		{ %$public, value => $pem }, { kty => 'OKP', crv => 'Ed25519', kid => 'ed', alg => 'Ed25519',
			x => '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }] }) },
		location => "$jwt\ntollgate_jwt_key_file keys.jwks;"],
	['as many keys without kid as are tried', files => { 'many.pem' => $pem x 8 },
		location => "$jwt\ntollgate_jwt_key_file many.pem;"],
	['every field of an entry', files => { 'good.json' => file(tier => 'free', expires =>
		'2027-01-01T00:00:00.5+02:00', not_before => '2026-01-01T00:00:00Z', disabled =>
		JSON::PP::false(), description => 'x', cidrs => ['10.0.0.0/8', '::1']) },
		location => "tollgate on;\ntollgate_api_keys good.json;"],
	['a place for the status', http => "$usual{http}\ntollgate_status_file $dir/status;"],
	['no status', http => "$usual{http}\ntollgate_status_file off;"],
	['an absolute path', location => "tollgate on;\ntollgate_api_keys $dir/keys.json;"],
	['values of directives', location => join "\n", map({ "$_;" } 'tollgate_auth api_key jwt',
		'tollgate_jwt_key_file secret', 'tollgate_jwt_leeway 1h',
		'tollgate_jwt_max_size 1m', 'tollgate_ratelimit_headers openai ietf legacy',
		'tollgate_audit_log a.log buffer=64m flush=1h', 'tollgate_api_key_header Authorization X-Key',
		'tollgate_jwt_claim models a.b', 'tollgate_jwt_require_exp off', 'tollgate_dry_run on'),
		$usual{location}],
	['an audit log on a stream', location => "$usual{location}\ntollgate_audit_log /dev/stdout;"],
	['an audit log on a stream of somebody else\'s', http => "$usual{http}\naccess_log /dev/stdout;",
		location => "$usual{location}\ntollgate_audit_log /dev/stdout;"],
	['an audit log that nobody reads', location => "$usual{location}\ntollgate_audit_log /dev/null;"],
	['a header with an underscore', http => "$usual{http}\nunderscores_in_headers on;",
		location => "$usual{location}\ntollgate_api_key_header X_Api_Key;"],
	['a header with a dot', http => "$usual{http}\nignore_invalid_headers off;",
		location => "$usual{location}\ntollgate_api_key_header X.Api.Key X_Key;"],
	['a header with an underscore that nobody reads', http =>
		"$usual{http}\ntollgate_api_key_header X_Api_Key;",
		location => "$jwt\ntollgate_jwt_key_file secret;"],
	['a header with an underscore, in the default server', server =>
		"underscores_in_headers on;\nlocation /x {\n$usual{location}\ntollgate_api_key_header X_Api_Key;\n}\n}\n"
		. "server {\nlisten 127.0.0.1:8080;\nserver_name b;"],
	['a header with an underscore, in the default server by name', server => "}\nserver {\nunderscores_in_headers on;\n"
		. "listen 127.0.0.1:8080 default_server;\nlocation /x {\n$usual{location}\n"
		. "tollgate_api_key_header X_Api_Key;\n}"],
	['models that a tier hides', http => "$usual{http}\ntollgate_tier few { models a*; }",
		location => "$usual{location}\ntollgate_hide_models on;"],
	['models that a key hides', files => { 'few.json' => keys_file({ %acme, tier => 'free', models => ['a'] }) },
		location => "tollgate on;\ntollgate_api_keys few.json;\ntollgate_hide_models on;"],
	['models that tokens hide', location => "$jwt\ntollgate_jwt_key_file secret;\n"
		. "tollgate_jwt_claim models allowed;\ntollgate_hide_models on;"],
	['models that a key hides in one of two locations', http => "$usual{http}\ntollgate_hide_models on;",
		files => { 'few.json' => keys_file({ %acme, tier => 'free', models => ['a'] }) }, server =>
		"location /x {\n$usual{location}\n}", location => "tollgate on;\ntollgate_api_keys few.json;"],
	['models that are not hidden', location => "$usual{location}\ntollgate_hide_models off;"],
	['files with names of switches', location => "$usual{location}\ntollgate_audit_log ./on;"],
	['an audit log in two places', http => "$usual{http}\ntollgate_audit_log a.log buffer=1k;",
		location => "$usual{location}\ntollgate_audit_log a.log buffer=1k;"],
);

# what deserves a warning

my @warned = (
	['unknown tier of a key', ['gold-keys.json', 'key "k_1"', '"gold"', 'tollgate_tier gold {', 'is refused'],
		files => { 'gold-keys.json' => keys_file({ %acme, tier => 'gold' }) },
		location => "tollgate on;\ntollgate_api_keys gold-keys.json; # !"],
	# Of a key that is not in force anyway, nothing is a reason to refuse the file.
	(map { ["a mistake in a key that is $_->[0]", ['off.json', 'key "k_2"', '"owner" is unknown', 'is refused'],
		files => { 'off.json' => keys_file({ %acme }, { %acme, key => 'other', owner => 'x', @{$_->[1]} }) },
		location => "tollgate on;\ntollgate_api_keys off.json; # !"] }
		['revoked', [revoked => '2026-01-01T00:00:00Z']], ['disabled', [disabled => JSON::PP::true()]],
		['expired', [expires => '2020-01-01T00:00:00Z']]),
	['a revoked key that is there again', ['twice.json', 'key "k_2"', '"hash"', 'is refused'],
		files => { 'twice.json' => keys_file({ %acme, revoked => '2026-01-01T00:00:00Z' }, { %acme },
			{ %acme, key => 'other' }) },
		location => "tollgate on;\ntollgate_api_keys twice.json; # !"],
	['keys without a tier', ['1 of 1 keys', 'no-tier.json', 'add "tollgate_default_tier NAME;"'],
		location => "tollgate on;\ntollgate_api_keys no-tier.json; # !"],
	['keys of several issuers, each for all', ['"tollgate_jwt_key_file"', 'several issuers', 'secret2',
		'"issuer="'], files => { secret2 => 't' x 32 },
		location => "$jwt\ntollgate_jwt_issuer https://a https://b;\ntollgate_jwt_key_file secret; # !\n"
			. 'tollgate_jwt_key_file secret2;'],
	# Nothing of an odd key is a reason to refuse the others (RFC 7517 section 5).
	(map { ["key file, $_->[0]", ['odd.json', $_->[1], $_->[2]],
		files => { 'odd.json' => json({ keys => [$_->[3], $public] }) },
		location => "$jwt\ntollgate_jwt_key_file odd.json; # !"] }
		['a private key among others', 'key 1 ("p")', 'private key', { %$private, kid => 'p' }],
		['null among keys', 'key 1', 'is no JWK', undef],
		['a member that is null', 'key 1 ("n")', '"alg" is null', { %$public, kid => 'n', alg => undef }],
		['a short coordinate', 'key 1 ("s")', 'not as long', { %$public, kid => 's', x => 'AAAA' }],
		['a small key', 'key 1 ("r")', 'RSA modulus', { kty => 'RSA', kid => 'r', e => 'AQAB',
			n => encode_base64url("\xa5" x 128) }],
		['a key once more', 'key 2 ("ec")', 'is in the set already', $public],
		['a key of an unknown kind', 'key 1 ("k")', 'not supported', { kty => 'AKP', kid => 'k' }],
		['an unknown algorithm', 'key 1 ("a")', 'not supported', { %$public, kid => 'a', alg => 'ES256K' }],
		['a name that is none', 'key 1 ("\\u{7}")', '"kid"', { %$public, kid => "\7" }]),
	['two key files with one name of a key', ['two.json', 'key "ec"', 'common algorithm'],
		files => { 'one.json' => json({ keys => [$public] }),
			'two.json' => json({ keys => [{ %$public, use => 'sig' }] }) },
		location => "$jwt\ntollgate_jwt_key_file one.json; # !\ntollgate_jwt_key_file two.json;"],
	['an audit log among other lines', ['"tollgate_audit_log"', 'another log', 'a file of its own'],
		http => "$usual{http}\naccess_log $dir/shared.log;",
		location => "$usual{location}\ntollgate_audit_log $dir/shared.log; # !"],
	['an audit log by a pipe', ['"tollgate_audit_log"', 'is a pipe', 'use a file instead'],
		location => "$usual{location}\ntollgate_audit_log $dir/pipe; # !"],
	# What nginx drops before anybody sees it.
	['a header with an underscore', ['"X_Api_Key" in "tollgate_api_key_header"', 'nginx drops',
		'add "underscores_in_headers on;"'],
		location => "$usual{location}\ntollgate_api_key_header X-Key X_Api_Key; # !"],
	['a header with an underscore, in one of two servers', ['"X_Api_Key" in "tollgate_api_key_header"'],
		http => "$usual{http}\ntollgate_api_key_header X_Api_Key; # !",
		server => "underscores_in_headers on;\n}\nserver {\nlisten 127.0.0.1:8080;\nserver_name b;\n"
			. "location / {\n$usual{location}\n}"],
	['a header with an underscore, in a server that is not the default one', ['"X_Api_Key" in "tollgate_api_key_header"',
		'before "Host"', 'default server of the address says, in', 'add "underscores_in_headers on;"'],
		server => "}\nserver {\nlisten 127.0.0.1:8080;\nserver_name b;\nunderscores_in_headers on;\n"
			. "location /x {\n$usual{location}\ntollgate_api_key_header X_Api_Key; # !\n}"],
	['a header with a dot', ['"X.Api.Key" in "tollgate_api_key_header"', 'add "ignore_invalid_headers off;"'],
		http => "$usual{http}\nunderscores_in_headers on;",
		location => "$usual{location}\ntollgate_api_key_header X.Api.Key; # !"],
	['models that nobody could not use', ['"tollgate_hide_models on" has no effect', 'no tier and no key has "models"'],
		location => "$usual{location}\ntollgate_hide_models on; # !"],
	['tokens that name no models', ['"tollgate_hide_models on" has no effect'],
		location => "$jwt\ntollgate_jwt_key_file secret;\ntollgate_hide_models on; # !"],
	['a zone, but nothing is on', ['tollgate_zone "tollgate" has no effect', '"tollgate on"'],
		location => 'tollgate_api_keys keys.json;'],
);

$t->plan(@refused + 2 * @accepted + @warned);

###############################################################################

check_refused($t, $_) for @refused;
check_accepted($t, $_) for @accepted;
check_warned($t, $_) for @warned;

###############################################################################

# A keys file of one entry, with these fields; undef takes one away.
sub file {
	my (%fields) = @_;
	my %all = (%entry, %fields);
	delete @all{grep { !defined $all{$_} } keys %all};
	return json({ version => 1, keys => [\%all] });
}

###############################################################################
