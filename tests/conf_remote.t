#!/usr/bin/perl

# What nginx -t says of keys and tokens that are asked for: tollgate_jwt_key_request and
# tollgate_introspection_request, with what belongs to them. As in conf.t, every message names the
# directive, the file, the line, and the way out.

use warnings;
use strict;

use Test::More;

use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/keys_file/;
use Tollgate::Conf;

select STDERR; $| = 1;
select STDOUT; $| = 1;

# Secrets are nobody else's business.
umask 077;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/);

$t->write_file('keys.json', keys_file({ key => 'tg_acme', client => 'acme', tier => 'free' }));
$t->write_file('secret', 's' x 32);
$t->write_file('public.pem', <<'EOF');
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAES3uA/9JGo8x71lY5UcF689zbvi1j
FZnUi+7SZnfA+eefXl1xNEis1CAQzlSsf6GCZFJ3r+OlEKmKwnA6JmaOeQ==
-----END PUBLIC KEY-----
EOF

# The places that are asked.
my $server = "location = /_jwks { internal; return 204; }\n"
	. 'location = /_introspect { internal; return 204; }';
my $jwt = "tollgate on;\ntollgate_auth jwt;\ntollgate_default_tier free;";
my $opaque = "tollgate on;\ntollgate_auth introspection;\ntollgate_default_tier free;";
my $keys = 'tollgate_jwt_key_request /_jwks;';
my $asks = 'tollgate_introspection_request /_introspect;';

# Cases of Tollgate::Conf.
my @refused;

###############################################################################
# what a method needs

push @refused, (
	['tokens, without keys', ['"tollgate_auth jwt"', 'tollgate_jwt_key_file', 'tollgate_jwt_key_request'],
		location => "tollgate on; # !\ntollgate_auth jwt;"],
	['tokens, with keys switched off', ['"tollgate_auth jwt"'], http => "$usual{http}\n$keys",
		location => "tollgate on; # !\ntollgate_auth jwt;\ntollgate_jwt_key_request off;"],
	['introspection, without a place', ['"tollgate_auth introspection"',
		'add "tollgate_introspection_request URI;"'],
		location => "tollgate on; # !\ntollgate_auth introspection;"],
	['introspection, switched off', ['"tollgate_auth introspection"'], http => "$usual{http}\n$asks",
		location => "tollgate on; # !\ntollgate_auth introspection;\n"
		. 'tollgate_introspection_request off;'],
	['introspection beside keys, without a place', ['tollgate_introspection_request'],
		location => "tollgate on; # !\ntollgate_auth api_key introspection;\ntollgate_api_keys keys.json;"],
	['nobody, and introspection', ['"none" in "tollgate_auth" stands alone'],
		location => "$usual{location}\ntollgate_auth none introspection; # !"],
);

# whose tokens it is for

push @refused, (
	['a set of keys for an issuer that is not accepted', ['"tollgate_jwt_key_request"', '"/_jwks"',
		'"https://a"', 'not accepted'], location => "$jwt\ntollgate_jwt_issuer https://b;\n"
		. 'tollgate_jwt_key_request /_jwks issuer=https://a; # !'],
	['questions about an issuer that is not accepted', ['"tollgate_introspection_request"',
		'"https://a"', 'not accepted'], location => "$opaque\ntollgate_jwt_issuer https://b;\n"
		. 'tollgate_introspection_request /_introspect issuer=https://a; # !'],
	['clients of both can have the same name', ['"tollgate_jwt_key_file"', '"/_introspect"', 'client_prefix='],
		location => "$jwt\ntollgate_jwt_key_file secret; # !\n"
		. 'tollgate_introspection_request /_introspect client_prefix=a:;'],
);

# either a file or a request

for my $order (0, 1) {
	my @both = ('tollgate_jwt_key_file secret;', "$keys # !");
	@both = reverse @both if $order;
	push @refused, ["a file and a request, order $order",
		['"tollgate_jwt_key_file"', '"tollgate_jwt_key_request"'],
		location => "$jwt\n$both[0]\n$both[1]"];
}
push @refused, ['a file and a request, in http', ['"tollgate_jwt_key_file"', '"tollgate_jwt_key_request"'],
	http => "$usual{http}\ntollgate_jwt_key_file public.pem;\n$keys # !", location => $jwt];

# without effect

push @refused, (
	['a request for keys, without effect', ['"tollgate_jwt_key_request"', 'add "tollgate_auth jwt;"'],
		location => "$usual{location}\n$keys # !"],
	['a request for keys, without effect by another method', ['"tollgate_jwt_key_request"',
		'"tollgate_auth"'], location => "$opaque\n$asks\n$keys # !"],
	['introspection, without effect', ['"tollgate_introspection_request"', '"tollgate_auth"'],
		location => "$usual{location}\n$asks # !"],
);

# values

my %values = (
	'tollgate_jwt_key_request _jwks' => ['"_jwks"', '"tollgate_jwt_key_request"', 'internal location'],
	'tollgate_jwt_key_request @jwks' => ['"@jwks"', '"tollgate_jwt_key_request"', 'internal location'],
	'tollgate_jwt_key_request https://login.example.com/keys' => ['"tollgate_jwt_key_request"', 'internal location'],
	'tollgate_jwt_key_request ""' => ['"tollgate_jwt_key_request"'],
	'tollgate_jwt_key_request OFF' => ['"OFF"', '"tollgate_jwt_key_request"'],
	'tollgate_jwt_key_request' => ['invalid number of arguments in "tollgate_jwt_key_request"'],
	'tollgate_introspection_request off client_prefix=a:' =>
		['"off" in "tollgate_introspection_request"', 'alone'],
	'tollgate_jwt_key_request /a /b' => ['"/b"', '"tollgate_jwt_key_request"', '"issuer=VALUE"'],
	'tollgate_jwt_key_cache' => ['invalid number of arguments in "tollgate_jwt_key_cache"'],
	'tollgate_jwt_key_cache x' => ['"x"', '"tollgate_jwt_key_cache"'],
	'tollgate_jwt_key_cache 0' => ['"0"', '"tollgate_jwt_key_cache"'],
	'tollgate_jwt_key_cache -1s' => ['"-1s"', '"tollgate_jwt_key_cache"'],
	'tollgate_jwt_key_cache 5m stale' => ['"stale"', '"tollgate_jwt_key_cache"'],
	'tollgate_jwt_key_cache 5m stale=' => ['"stale="', '"tollgate_jwt_key_cache"'],
	'tollgate_jwt_key_cache 5m stale=x' => ['"stale=x"', '"tollgate_jwt_key_cache"'],
	'tollgate_jwt_key_cache 5m fresh=1h' => ['"fresh=1h"', '"tollgate_jwt_key_cache"'],
	'tollgate_jwt_key_request /_jwks?x=1' => ['"/_jwks?x=1"', 'without arguments'],
	'tollgate_jwt_key_request /_$host' => ['"/_$host"', 'variables'],
	'tollgate_introspection_request introspect' => ['"introspect"', '"tollgate_introspection_request"',
		'internal location'],
	'tollgate_introspection_request ""' => ['"tollgate_introspection_request"'],
	'tollgate_introspection_request' =>
		['invalid number of arguments in "tollgate_introspection_request"'],
	'tollgate_introspection_cache x' => ['"x"', '"tollgate_introspection_cache"'],
	'tollgate_introspection_cache -1s' => ['"-1s"', '"tollgate_introspection_cache"'],
	'tollgate_introspection_cache' => ['invalid number of arguments in "tollgate_introspection_cache"'],
	'tollgate_introspection_cache 1s 2s' =>
		['invalid number of arguments in "tollgate_introspection_cache"'],
);
for my $directive (sort keys %values) {
	# Each with what else it needs.
	my $rest = $directive =~ /^tollgate_jwt_key_request/ ? $jwt
		: $directive =~ /^tollgate_jwt_key_cache/ ? "$jwt\n$keys"
		: $directive =~ /^tollgate_introspection_request/ ? $opaque : "$opaque\n$asks";
	push @refused, ["'$directive'", $values{$directive}, location => "$rest\n$directive; # !"];
}

# twice in one place

for my $directive ($keys, 'tollgate_jwt_key_cache 5m;', $asks, 'tollgate_introspection_cache 60s;') {
	my ($name) = $directive =~ /^(\S+)/;
	push @refused, ["twice, $name", ["\"$name\" directive is duplicate"],
		location => "$directive\n$directive # !"];
}

# not everywhere

for my $directive ($keys, $asks) {
	my ($name) = $directive =~ /^(\S+)/;
	push @refused, ["$name in if", ["\"$name\" directive is not allowed here"],
		location => "if (\$arg_a) { $directive } # !"];
}

###############################################################################
# the location that is asked

my $nowhere = 'so that tokens can\'t be verified';
my @warned = (
	['no location', ['"tollgate_jwt_key_request /_jwks"', 'has no location "/_jwks"', $nowhere,
		'"location = /_jwks { internal;'], http => "$usual{http}\n$keys # !", location => 'tollgate off;',
		server => "}\nserver {\nlisten 127.0.0.1:8080;\nserver_name b;\nlocation /v1/ {\n$jwt\n}"],
	['no location but for whatever is not there', ['no location of its own for "/_jwks"', '"location /"',
		'"location = /_jwks { internal;'], location => 'return 404;',
		server => "location /v1/ {\n$jwt\n$keys # !\n}\nlocation = /other { internal; }"],
	['no location, for opaque tokens', ['"tollgate_introspection_request /_introspect"',
		'"location = /_introspect { internal;'],
		server => 'location = /_introspects { internal; }', location => "$opaque\n$asks # !"],
	['the location of the clients', ['"tollgate_jwt_key_request /_jwks"', 'no location of its own',
		'"location /"', 'for others', '"location = /_jwks { internal;'],
		server => '', location => "$jwt\n$keys # !"],
	['a location that all can ask', ['"tollgate_jwt_key_request /_jwks"', '"location = /_jwks"',
		'not internal', 'anybody', 'add "internal;"'],
		server => 'location = /_jwks { proxy_pass http://127.0.0.1:8081; }', location => "$jwt\n$keys # !"],
	['a location that all can ask about tokens', ['"tollgate_introspection_request /_introspect"',
		'"location = /_introspect"', 'not internal', 'your credentials', 'add "internal;"'],
		server => 'location = /_introspect { proxy_pass http://127.0.0.1:8081; }',
		location => "$opaque\n$asks # !"],
	['a location that begins so', ['"location /_"', 'not internal'],
		server => 'location /_ { tollgate off; proxy_pass http://127.0.0.1:8081; }',
		location => "$jwt\n$keys # !"],
	['a regular expression before it', ['"location ~ ^/_j"', 'not internal'],
		server => "location ~ ^/_j { return 204; }\nlocation /_jwks { internal; return 204; }",
		location => "$jwt\n$keys # !"],
	['a slash too much', ['"tollgate_jwt_key_request /_jwks"', 'a redirect to "/_jwks/"', $nowhere],
		server => 'location /_jwks/ { internal; proxy_pass http://127.0.0.1:8081; }',
		location => "$jwt\n$keys # !"],
	['no location in one server', ['"tollgate_jwt_key_request /_jwks"', 'no location of its own', 'test.conf'],
		http => "$usual{http}\n$keys # !", location => $jwt,
		server => "$server\n}\nserver {\nlisten 127.0.0.1:8080; server_name b;\nlocation / {\n$jwt\n}"],
);

###############################################################################
# and what is accepted

my @accepted = (
	['keys by request', location => "$jwt\n$keys"],
	['for all servers', http => "$usual{http}\n$keys\ntollgate_jwt_key_cache 1m stale=0;",
		location => $jwt],
	['all about keys by request', location => "$jwt\n$keys\ntollgate_jwt_key_cache 1s stale=1d;"
		. "\ntollgate_jwt_algorithms RS256 ES256;\ntollgate_jwt_issuer https://login.example.com;"],
	['a request in place of a file', http => "$usual{http}\ntollgate_jwt_key_file secret;",
		location => "$jwt\n$keys"],
	['a file in place of a request', http => "$usual{http}\n$keys",
		location => "$jwt\ntollgate_jwt_key_file secret;"],
	['no request in place of a request', http => "$usual{http}\n$keys",
		location => "$jwt\n$asks\ntollgate_jwt_key_request off;"],
	['introspection', location => "$opaque\n$asks"],
	['introspection for all servers', http => "$usual{http}\n$asks", location => $opaque],
	['introspection, not remembered', location => "$opaque\n$asks\ntollgate_introspection_cache 0;"],
	['introspection, remembered for long', location => "$opaque\n$asks\ntollgate_introspection_cache 1h;"],
	['introspection with what tokens have', location => "$opaque\n$asks\n"
		. "tollgate_jwt_issuer https://login.example.com;\ntollgate_jwt_audience api;\n"
		. "tollgate_jwt_claim client client_id;\ntollgate_jwt_leeway 5s;"],
	['introspection beside tokens', location => "$jwt\n$keys\n$asks"],
	['introspection beside tokens, by its name', location =>
		"tollgate on;\ntollgate_auth jwt introspection;\n$keys\n$asks\ntollgate_default_tier free;"],
	['introspection beside API keys', location =>
		"tollgate on;\ntollgate_auth api_key introspection;\n$asks\ntollgate_api_keys keys.json;"],
	['all three', location => "tollgate on;\ntollgate_auth api_key jwt introspection;\n"
		. "$keys\n$asks\ntollgate_api_keys keys.json;\ntollgate_default_tier free;"],
	['all tokens shown to the provider', location => "$jwt\n$asks"],
	['all tokens shown to the provider, by both names', location =>
		"tollgate on;\ntollgate_auth jwt introspection;\n$asks\ntollgate_default_tier free;"],
	['for all servers, where another method is named', http => "$usual{http}\n$keys\n$asks",
		location => "$usual{location}\ntollgate_auth api_key;"],
	['the variable', location => "$jwt\n$keys", server =>
		"location = /_introspect { internal; }\n"
		. "location = /_jwks { internal; proxy_cache off; proxy_cache_bypass \$tollgate_key_refetch;\n"
		. 'proxy_pass http://127.0.0.1:8081; }'],
	['a regular expression that comes after it', location => "$jwt\n$keys", server =>
		"location ~ ^/_j { return 204; }\nlocation ^~ /_jwks { internal; return 204; }"],
	['a regular expression', location => "$jwt\n$keys", server => 'location ~ ^/_j { internal; return 204; }'],
	['a location for all that is asked', location => "$jwt\n$keys",
		server => 'location /_ { internal; proxy_pass http://127.0.0.1:8081; }'],
	['a location in another one', location => "$jwt\n$keys",
		server => 'location /_ { location = /_jwks { internal; return 204; } }'],
	['where nothing is asked', http => "$usual{http}\n$keys\ntollgate_auth api_key;",
		location => $usual{location}, server => ''],
	['where it is off', http => "$usual{http}\n$keys", location => $jwt,
		server => "$server\n}\nserver {\nlisten 127.0.0.1:8080;\nserver_name b;\ntollgate off;"],
	['off, and all else is wrong', location => "$jwt\n$keys", server =>
		"$server\nlocation /off { tollgate off; tollgate_auth introspection; }"],
);

$t->plan(@refused + 2 * @accepted + @warned);

###############################################################################

check_refused($t, [@$_[0, 1], server => $server, @$_[2 .. $#$_]]) for @refused;
check_accepted($t, [$_->[0], server => $server, @$_[1 .. $#$_]]) for @accepted;
check_warned($t, $_) for @warned;

###############################################################################
