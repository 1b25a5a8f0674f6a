#!/usr/bin/perl

# Why a request was refused can be found: `detail` in the audit log and in $tollgate_detail, a sentence
# in the error log, and the request's id in each line of it. Claims have the names that the
# configuration gives them. Nothing that the client sent is in any of it.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_start http_end /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get header hs256 json jws keys_file status/;
use Tollgate::Client;

use IO::Socket::INET;
use MIME::Base64 qw/encode_base64url/;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http access auth_basic proxy rewrite/);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone   zone=gate:1m;
    tollgate_tier   free { tokens 100m/h; }
    tollgate_tier   rich { budget 5/day; }
    tollgate_tier   one { concurrency 1; }
    tollgate_tier   queued { concurrency 1 queue=1 timeout=2s; }
    tollgate_price  known-* input=1 output=1;

    tollgate_api_keys       keys.json;
    tollgate_api_key_header Authorization X-API-Key X-Other-Key;
    tollgate_audit_log      %%TESTDIR%%/audit.log;

    add_header X-Reason $tollgate_reason always;
    add_header X-Detail $tollgate_detail always;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        error_log  %%TESTDIR%%/info.log info;
        tollgate   on;

        location / {
            proxy_pass  http://127.0.0.1:8081;
        }

        location /jwt/ {
            tollgate_auth         jwt;
            tollgate_jwt_key_file keys.jwks;
            tollgate_jwt_issuer   https://issuer.example;
            tollgate_jwt_audience llm;
            tollgate_jwt_max_size 2k;
            tollgate_jwt_algorithms HS256;
            tollgate_jwt_claim    client user.id;
            tollgate_jwt_claim    tier "realm access.tier";
            tollgate_jwt_claim    rate_limit https://example.com/limit;
            proxy_pass            http://127.0.0.1:8081/;
        }

        location /both/ {
            tollgate_auth          api_key jwt;
            tollgate_jwt_key_file  keys.jwks;
            proxy_pass     http://127.0.0.1:8081/;
        }

        location /keys/ {
            tollgate_auth             jwt;
            tollgate_jwt_key_request  /_dead;
            proxy_pass                http://127.0.0.1:8081/;
        }

        location /silent/ {
            tollgate_auth             jwt;
            tollgate_jwt_key_request  /_silent;
            proxy_pass                http://127.0.0.1:8081/;
        }

        location /opaque/ {
            tollgate_auth                   introspection;
            tollgate_introspection_request  /_opaque;
            tollgate_jwt_claim              client account;
            proxy_pass                      http://127.0.0.1:8081/;
        }

        location /inactive/ {
            tollgate_auth                   introspection;
            tollgate_introspection_request  /_inactive;
            proxy_pass                      http://127.0.0.1:8081/;
        }

        location /opaque-dead/ {
            tollgate_auth                   introspection;
            tollgate_introspection_request  /_dead;
            proxy_pass                      http://127.0.0.1:8081/;
        }

        location /closed/ {
            tollgate_endpoints  -/closed/x;
            proxy_pass          http://127.0.0.1:8081/;
        }

        location /vllm/ {
            tollgate_engine  vllm;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /set/ {
            set $length $content_length;
            tollgate_include_usage  always;
            proxy_pass              http://127.0.0.1:8081/;
        }

        location /hangs/ {
            tollgate_endpoints  +*:/*;
            proxy_pass          http://127.0.0.1:8085/;
        }

        location /dry/ {
            tollgate_dry_run  on;
            proxy_pass        http://127.0.0.1:8081/;
        }

        location /page/ {
            error_page  401 /page.html;
            proxy_pass  http://127.0.0.1:8081/;
        }

        location = /page.html {
            return 200 PAGE;
        }

        location /any/ {
            satisfy  any;
            allow    all;
            proxy_pass  http://127.0.0.1:8081/;
        }

        location /dead-engine/ {
            tollgate_endpoints  +*:/*;
            proxy_pass          http://127.0.0.1:8086/;
        }

        location = /_dead {
            internal;
            proxy_pass  http://127.0.0.1:8081/missing;
        }

        location = /_silent {
            internal;
            proxy_pass  http://127.0.0.1:8085/;
        }

        location = /_opaque {
            internal;
            proxy_pass  http://127.0.0.1:8081/opaque;
        }

        location = /_inactive {
            internal;
            proxy_pass  http://127.0.0.1:8081/inactive;
        }
    }

    # As Debian has it: nothing is said of levels.
    server {
        listen       127.0.0.1:8082;
        server_name  localhost;

        error_log  %%TESTDIR%%/stock.log;
        tollgate   on;

        location / {
            proxy_pass  http://127.0.0.1:8081;
        }

        location /jwt/ {
            tollgate_auth          jwt;
            tollgate_jwt_key_file  keys.jwks;
            proxy_pass             http://127.0.0.1:8081/;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        location / {
            return 200 ENGINE;
        }

        location /missing {
            return 404;
        }

        location /inactive {
            default_type  application/json;
            return 200 '{"active":false}';
        }

        location /opaque {
            default_type  application/json;
            return 200 '{"active":true,"sub":"acme"}';
        }
    }
}

EOC

# What a client sends, and must not come back in any log.
my $marker = 'xXmarkerXx';
my $secret = '0123456789abcdef0123456789abcdef';
$t->write_file('keys.jwks', json({ keys => [
	{ kty => 'oct', kid => 'a', alg => 'HS256', k => encode_base64url($secret) },
] }));
$t->write_file('keys.json', keys_file(
	{ id => 'k_good', key => 'key-good', client => 'acme', tier => 'free' },
	{ id => 'k_none', key => 'key-none', client => 'acme' },
	{ id => 'k_rich', key => 'key-rich', client => 'rich', tier => 'rich' },
	{ id => 'k_one', key => 'key-one', client => 'one', tier => 'one' },
	{ id => 'k_queued', key => 'key-queued', client => 'queued', tier => 'queued' },
	{ id => 'k_old', key => 'key-old', client => 'acme', expires => '2020-01-01T00:00:00Z' },
	{ id => 'k_new', key => 'key-new', client => 'acme', not_before => '2099-01-01T00:00:00Z' },
	{ id => 'k_off', key => 'key-off', client => 'acme', disabled => JSON::PP::true() },
	{ id => 'k_far', key => 'key-far', client => 'acme', cidrs => ['192.0.2.0/24'] },
));

# It takes connections, and never says a word.
my $deaf = IO::Socket::INET->new(
	Proto => 'tcp', LocalAddr => "127.0.0.1", LocalPort => port(8085), Listen => 64, ReuseAddr => 1,
) or die "Can't listen: $!\n";

my $now = time;
my %good = (iss => 'https://issuer.example', aud => 'llm', exp => $now + 3600,
	user => { id => 'acme' }, 'realm access' => { tier => 'free' });

sub token {
	my ($claims, %header) = @_;
	my %claims = (%good, %$claims);
	delete @claims{grep { !defined $claims{$_} } keys %claims};
	return 'Authorization: Bearer ' . hs256($secret, \%claims, kid => 'a', %header);
}

my $post = '/v1/chat/completions';
my $key = 'X-API-Key: key-good';
my $ok = 'Authorization: Bearer ' . hs256($secret, { sub => 'acme', exp => $now + 3600 }, kid => 'a');

# Name, URI, header lines, the body of a POST; reason and detail, and what the error log says of it.
my @cases = (
	['nothing', '/', [], undef, 'missing_credential', 'no_credential'],
	['another scheme', '/', ["Authorization: Basic $marker"], undef,
		'missing_credential', 'other_scheme', 'the scheme of "Authorization" is not "Bearer"'],
	['an unknown key', '/', ["X-API-Key: $marker"], undef, 'invalid_credential', 'unknown_key'],
	['no scheme', '/', ["Authorization: $marker"], undef, 'invalid_credential', 'no_bearer'],
	['a scheme alone', '/', ['Authorization: Bearer'], undef, 'invalid_credential', 'no_bearer'],
	['Bearer twice', '/', ["Authorization: Bearer Bearer key-good"], undef,
		'invalid_credential', 'bearer_twice'],
	['Bearer in X-API-Key', '/', ["X-API-Key: Bearer key-good"], undef,
		'invalid_credential', 'bearer_twice'],
	['a key in quotes', '/', ['X-API-Key: "key-good"'], undef, 'invalid_credential', 'blank_in_key'],
	['a key with a blank', '/', ["X-API-Key: key-good $marker"], undef,
		'invalid_credential', 'blank_in_key'],
	['the hash', '/', ["X-API-Key: sha256:$marker"], undef, 'invalid_credential', 'hash_for_key'],
	['a token', '/', [$ok], undef, 'invalid_credential', 'token_for_key'],
	['an expired key', '/', ['X-API-Key: key-old'], undef, 'expired_credential', 'key_expired'],
	['a key of the future', '/', ['X-API-Key: key-new'], undef, 'not_yet_valid', 'key_not_yet_valid'],
	['a disabled key', '/', ['X-API-Key: key-off'], undef, 'revoked_credential', undef],
	['a key for elsewhere', '/', ['X-API-Key: key-far'], undef, 'address_denied', 'outside_cidrs'],
	['two headers', '/', ["X-API-Key: $marker", 'Authorization: Bearer key-good'], undef,
		'conflicting_credentials', 'key_header_and_authorization'],
	['two headers for keys', '/', ["X-API-Key: $marker", 'X-Other-Key: key-good'], undef,
		'conflicting_credentials', 'key_headers'],
	['no tier', '/', ['X-API-Key: key-none'], undef, 'tier_denied', 'key_without_tier'],

	['an expired token', '/jwt/', [token({ exp => $now - 60 })], undef,
		'expired_credential', 'token_expired'],
	['a token of the future', '/jwt/', [token({ nbf => $now + 600 })], undef,
		'not_yet_valid', 'token_not_yet_valid'],
	['no token', '/jwt/', ["Authorization: $marker"], undef, 'invalid_token', 'no_token'],
	['a long token', '/jwt/', [token({ x => 'x' x 4000 })], undef, 'invalid_token', 'token_too_long'],
	['no JWS', '/jwt/', ["Authorization: Bearer $marker"], undef, 'invalid_token', 'not_compact'],
	['no base64url', '/jwt/', ["Authorization: Bearer e30=.e30.$marker"], undef,
		'invalid_token', 'bad_encoding header', 'the header is not canonical base64url'],
	['no JSON', '/jwt/', ['Authorization: Bearer ' . encode_base64url($marker) . '.e30.AAAA'], undef,
		'invalid_token', 'not_json header'],
	['crit', '/jwt/', [token({}, crit => [$marker])], undef,
		'invalid_token', 'header_member crit', 'header member "crit" is not accepted'],
	['a number for kid', '/jwt/', [token({}, kid => 7)], undef, 'invalid_token', 'header_type kid'],
	['a foreign typ', '/jwt/', [token({}, typ => $marker)], undef, 'invalid_token', 'foreign_type'],
	['an unknown alg', '/jwt/', [token({}, alg => $marker)], undef,
		'invalid_token', 'unknown_algorithm'],
	['an alg that is not accepted', '/jwt/', [token({}, alg => 'HS512')], undef,
		'invalid_token', 'algorithm_not_allowed'],
	['an unknown kid', '/jwt/', [token({}, kid => $marker)], undef, 'invalid_token', 'no_key'],
	['a wrong signature', '/jwt/', [token({}) . 'A' x 4], undef, 'invalid_token', 'bad_signature'],
	['no exp', '/jwt/', [token({ exp => undef })], undef,
		'invalid_token', 'missing_claim exp', 'claim "exp" is missing'],
	['no issuer', '/jwt/', [token({ iss => undef })], undef, 'invalid_token', 'missing_claim iss'],
	['another issuer', '/jwt/', [token({ iss => $marker })], undef,
		'invalid_token', 'issuer_not_allowed'],
	['another audience', '/jwt/', [token({ aud => $marker })], undef,
		'invalid_token', 'audience_not_allowed'],
	['no client', '/jwt/', [token({ user => { name => $marker } })], undef,
		'invalid_token', 'missing_claim user.id', 'claim "user.id" is missing'],
	['a number for the client', '/jwt/', [token({ user => { id => 7 } })], undef,
		'invalid_token', 'bad_claim user.id', 'claim "user.id" has an unusable value'],
	['a text for the rate limit', '/jwt/', [token({ 'https://example.com/limit' => $marker })], undef,
		'invalid_token', 'bad_claim https://example.com/limit'],
	['a list for the tier', '/jwt/', [token({ 'realm access' => { tier => [$marker] } })], undef,
		'invalid_token', 'bad_claim realm access.tier'],
	['no tier in the token', '/jwt/', [token({ 'realm access' => {} })], undef,
		'tier_denied', 'token_without_tier realm access.tier',
		'claim "realm access.tier" is missing, and there is no "tollgate_default_tier"'],
	['an unknown tier in the token', '/jwt/', [token({ 'realm access' => { tier => $marker } })], undef,
		'tier_denied', 'unknown_tier_of_token realm access.tier'],
	['an unknown key beside tokens', '/both/', ["X-API-Key: $marker"], undef,
		'invalid_credential', 'unknown_key'],
	['no client beside keys', '/both/', [token({})], undef, 'invalid_token', 'missing_claim sub'],

	['no keys', '/keys/', [$ok], undef, 'keys_unavailable', 'no_keys_from_provider /_dead'],
	['an inactive token', '/inactive/', ["Authorization: Bearer $marker"], undef,
		'invalid_token', 'inactive'],
	['an active token of nobody', '/opaque/', ["Authorization: Bearer $marker"], undef,
		'invalid_token', 'missing_claim account'],
	['no scheme before an opaque token', '/opaque/', ["Authorization: $marker"], undef,
		'invalid_token', 'no_token'],
	['no answer', '/opaque-dead/', ["Authorization: Bearer $marker"], undef,
		'introspection_unavailable', 'no_verdict /_dead'],

	['a model without a price', $post, ['X-API-Key: key-rich'], { model => $marker },
		'model_denied', 'no_price'],
	['a closed path', '/closed/x', [$key], {}, 'endpoint_denied', 'closed_endpoint'],
	['a path of others', '/vllm/abort_requests', [$key], {},
		'endpoint_denied', 'others_requests'],
	['an unknown path', '/v1/unknown', [$key], {}, 'endpoint_denied', 'unknown_endpoint openai',
		'the path is not known to "tollgate_engine openai"; "tollgate_endpoints" can open it'],
	['in the background', '/v1/responses', [$key], { model => 'known-a', background => \1 },
		'feature_denied', 'background'],
	['a line feed in the path', '/v1/models%0A', [$key], undef, 'malformed_path', 'unsafe_byte'],
	['dots in the path', '/v1/%252e%252e/models', [$key], undef, 'malformed_path', 'odd_segment'],
	['no JSON in the body', $post, [$key], "{\"model\":$marker", 'malformed_request', 'body_not_json'],
	['an array', $post, [$key], "[\"$marker\"]", 'malformed_request', 'body_not_an_object'],
	['nested', $post, [$key], '{"x":' . '[' x 200 . ']' x 200 . '}',
		'malformed_request', 'body_too_deep'],
	['a field twice', $post, [$key], "{\"model\":\"$marker\",\"model\":\"x\"}",
		'malformed_request', 'duplicate_member model', '"model" is given more than once'],
	['a field in capitals', $post, [$key], "{\"MODEL\":\"$marker\"}",
		'malformed_request', 'misspelt_member model'],
	['half of an emoji', $post, [$key], '{"model":"x\ud83d"}',
		'malformed_request', 'half_pair model'],
	['a field of the wrong type', $post, [$key], "{\"model\":\"x\",\"max_tokens\":\"$marker\"}",
		'malformed_request', 'bad_member max_tokens',
		'"max_tokens" has a value of the wrong type, or out of range'],
	['a length that is kept', "/set$post", [$key],
		{ model => 'x', stream => \1, messages => [] }, 'internal_error', 'length_in_set'],
	['a dry run', '/dry/', ["X-API-Key: $marker"], undef, 'invalid_credential', 'unknown_key'],
);

$t->plan(5 * @cases + 24);
$t->run();

# It takes the longest.
my $late = start('/silent/', 'late', [$ok]);

###############################################################################

my %answers;
for my $number (0 .. $#cases) {
	my ($name, $uri, $lines, $body) = @{ $cases[$number] };
	$answers{"case-$number"} = http_end(start($uri, "case-$number", $lines, $body));
}

my $info = '';
my %lines = by_id($t, scalar @cases);
poll { $info = $t->read_file('info.log'); $info =~ /, request_id: case-$#cases, / };
for my $number (0 .. $#cases) {
	my ($name, undef, undef, undef, $reason, $detail, $sentence) = @{ $cases[$number] };
	my $answer = $answers{"case-$number"};
	my $line = $lines{"case-$number"} // {};
	is($line->{reason}, $reason, "$name: reason");
	my $is_it = defined $detail ? qr/^(?:$detail)$/ : qr/^-$/;
	like($line->{detail} // '-', $is_it, "$name: detail");
	is(header($answer, 'X-Detail'), $line->{detail}, "$name: in the variable");
	my @said = grep { /, request_id: case-$number, / && /tollgate: request / } split /\n/, $info;
	is(scalar @said, 1, "$name: one line in the error log") or diag(join "\n", @said);
	$sentence //= '';
	my ($word) = split / /, $line->{detail} // '';
	my $told = defined $word ? "$reason ($word): $sentence" : $reason;
	like($said[0] // '', qr/tollgate: request (?:would be )?refused: \Q$told\E/, "$name: with the reason");
}

like($answers{'case-' . $#cases}, qr/ENGINE/, 'a dry run: passes');
like($info, qr/would be refused: invalid_credential \(unknown_key\): .*, request_id: case-$#cases,/,
	'a dry run: said');

###############################################################################

# Whoever is let in has no detail, and what nginx says of a request has its id, too.

my $good = http_end(start('/dead-engine/', 'dead', [$key]));
my %line = by_id($t, @cases + 1);
is($line{dead}{decision}, 'allow', 'let in');
ok(!exists $line{dead}{detail}, 'let in: no detail');
is(header($good, 'X-Detail'), undef, 'let in: no variable');
like($t->read_file('info.log'), qr/\[error\].*connect\(\) failed.*, client: 127\.0\.0\.1, request_id: dead, server: /,
	'a line of nginx has the id');

# An error_page is no second refusal, and what another module grants is none.

like(http_end(start('/page/', 'page', [])), qr/PAGE/, 'error_page');
http_end(start('/any/', 'any', ["X-API-Key: $marker"]));
%line = by_id($t, @cases + 3);
is($line{page}{detail}, 'no_credential', 'error_page: detail');
is(scalar(() = $t->read_file('info.log') =~ /request refused.*request_id: page,/g), 1,
	'error_page: said once');
is($line{any}{decision}, 'allow', 'satisfy any');
ok(!exists $line{any}{detail}, 'satisfy any: no detail');

# Slots.

my $held = start('/hangs/', 'held', ['X-API-Key: key-one']);
my $detail;
poll {
	my $answer = http_end(start('/hangs/x', 'second', ['X-API-Key: key-one']));
	$detail = header($answer // '', 'X-Detail');
};
is($detail, 'no_free_slot', 'no slot');

my $first = start('/hangs/', 'first', ['X-API-Key: key-queued']);
my $waits = start('/hangs/', 'waits', ['X-API-Key: key-queued']);
poll {
	my $answer = http_end(start('/hangs/', 'full', ['X-API-Key: key-queued']));
	$detail = header($answer // '', 'X-Detail');
	($detail // '') eq 'queue_full';
};
is($detail, 'queue_full', 'queue full');
my $waited = http_end($waits);
my $held_too = http_end($first) if ($waited // '') eq '';
is(header($waited // '', 'X-Detail') // header($held_too // '', 'X-Detail'), 'queue_timeout', 'waited too long');
close $held;
close $first;

###############################################################################

# With what Debian has, the first refusal of a kind is in the error log, and no stranger fills it.

my $stock = '127.0.0.1:' . port(8082);
for my $number (1 .. 200) {
	stock('/', "stock-key-$number", "X-API-Key: $marker$number");
	stock('/jwt/', "stock-token-$number", "Authorization: Bearer $marker.$number.x");
}
stock('/', 'stock-none');
my $log = $t->read_file('stock.log');
my @told = grep { /tollgate/ } split /\n/, $log;
my %kinds;
for (@told) {
	$kinds{$1}++ if /refused: (\w+ \(\w+\))/;
}
cmp_ok($kinds{'invalid_credential (unknown_key)'} // 0, '>=', 1, 'stock: a key');
my ($of_token) = grep { /^invalid_token / } keys %kinds;
ok($of_token, 'stock: a token');
cmp_ok($kinds{'missing_credential (no_credential)'} // 0, '>=', 1, 'stock: nothing');
# Once a minute and worker, whatever the machine takes.
my $minutes = int((time - $now) / 60) + 1;
cmp_ok(scalar @told, '<=', 3 * $minutes * (scalar workers($t) || 1), 'stock: and no more')
	or diag(join "\n", @told);
like($log, qr/\[error\].*invalid_credential \(unknown_key\): the key is in no keys file that is in force, client: .*, request_id: stock-key-1,/,
	'stock: the first one, with its id');

###############################################################################

my $end = http_end($late);
is(header($end // '', 'X-Reason'), 'keys_unavailable', 'a silent provider');
like(header($end // '', 'X-Detail'), qr{^no_keys_(?:from_provider|in_time) /_silent$},
	'a silent provider: detail');

$t->stop();
unlike($t->read_file('audit.log'), qr/"detail":"[^"]*\Q$marker\E/, 'nothing of the client in details');
my @ours = map { /tollgate: (.*?), client: / } split /\n/, $t->read_file('info.log') . $log;
cmp_ok(scalar @ours, '>=', scalar @cases, 'lines of ours');
is(scalar(grep { /\Q$marker\E/ } @ours), 0, 'nothing of the client in the error log');

###############################################################################

# Starts a request with this id; with a body it is a POST.
sub start {
	my ($uri, $id, $lines, $body) = @_;
	$body = json($body) if ref $body;
	my @lines = ('Host: localhost', 'Connection: close', "X-Request-ID: $id", @$lines);
	push @lines, 'Content-Type: application/json', 'Content-Length: ' . length $body if defined $body;
	my $method = defined $body ? 'POST' : 'GET';
	my $text = join "\r\n", "$method $uri HTTP/1.1", @lines, '', $body // '';
	return http($text, start => 1);
}

sub stock {
	my ($uri, $id, @lines) = @_;
	my $socket = IO::Socket::INET->new(Proto => 'tcp', PeerAddr => $stock)
		or die "Can't connect: $!\n";
	return http(join("\r\n", "GET $uri HTTP/1.0", 'Host: localhost', "X-Request-ID: $id", @lines, '', ''),
		socket => $socket);
}

# The lines of the audit log by the ids of their requests, once there are so many.
sub by_id {
	my ($t, $count) = @_;
	return map { $_->{request_id} => $_ } audit_lines($t, 'audit.log', $count);
}
