#!/usr/bin/perl

# What clients are told of limits on tokens: headers in three styles, refusals in the dialect of the
# API that was called; and dry_run, where nobody is refused.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header headers json keys_file status/;
use Tollgate::Client;
use Tollgate::Engine;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(71)
	->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;

    tollgate_tier tokens { tokens 100/d burst=1000; }
    tollgate_tier both { tokens 100/d burst=1000; requests 10r/h; }
    tollgate_tier input { input_tokens 100/d burst=500; }
    tollgate_tier spent { tokens 10/d burst=20; }
    tollgate_tier open { }

    tollgate_limit rule key=$tollgate_client tokens=100/d burst=100;

    tollgate_audit_log audit.log;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /ietf/ {
            tollgate_ratelimit_headers ietf;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /legacy/ {
            tollgate_ratelimit_headers legacy;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /all/ {
            tollgate_ratelimit_headers openai ietf legacy;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /off/ {
            tollgate_ratelimit_headers off;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /rule/ {
            tollgate_apply rule;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /tgi/ {
            tollgate_engine tgi;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /dry/ {
            tollgate_dry_run on;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /dry/refuse/ {
            tollgate_dry_run on;
            tollgate_oversized refuse;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /upstream/ {
            proxy_pass http://127.0.0.1:8082/;
        }
    }

    # An engine that has limits of its own.
    server {
        listen       127.0.0.1:8082;
        server_name  localhost;

        location / {
            add_header x-ratelimit-limit-tokens upstream;
            add_header x-ratelimit-remaining-tokens upstream;
            add_header x-ratelimit-limit-requests upstream;
            proxy_pass http://127.0.0.1:8081;
        }
    }
}

EOC

my %tiers = (
	tokens => [qw/openai ietf legacy all off rule-own upstream/],
	both => [qw/both-openai both-ietf both-legacy/],
	input => ['input'],
	spent => [qw/spent dry dry-2/],
	open => [qw/open rule/],
);
$t->write_file('keys.json', keys_file(map {
	my $tier = $_;
	map { { key => "key-$_", client => $_, tier => $tier } } @{$tiers{$tier}};
} sort keys %tiers));
start_engine($t, 8081);
$t->run();

###############################################################################

# 34 of 1000 are reserved, a token in 864 seconds: 8h9m36s
my %request = (input => 10, max => 20, tokens => 20);

# openai

my $r = complete(client => 'openai', %request);
is(header($r, 'x-ratelimit-limit-tokens'), 1000, 'openai: the capacity');
is(header($r, 'x-ratelimit-remaining-tokens'), 966, 'openai: what is left after the reservation');
is(header($r, 'x-ratelimit-reset-tokens'), '8h9m36s', 'openai: until it is full');
is(header($r, 'x-ratelimit-limit-requests'), undef, 'openai: no requests where they are not limited');

$r = complete(client => 'both-openai', %request);
is(header($r, 'x-ratelimit-remaining-tokens'), 966, 'openai: tokens');
is(header($r, 'x-ratelimit-remaining-requests'), 9, 'openai: and requests');

$r = complete(client => 'input', %request);
is(header($r, 'x-ratelimit-limit-tokens'), 500, 'openai: input_tokens are tokens');
is(header($r, 'x-ratelimit-remaining-tokens'), 486, 'openai: what is left of them');

$r = complete(client => 'openai', input => 10, max => 960);
is(status($r), 429, 'openai: a refusal');
is(header($r, 'x-ratelimit-limit-tokens'), 1000, 'openai: a refusal: the capacity');
is(header($r, 'x-ratelimit-remaining-tokens'), 970, 'openai: a refusal: what is left');
like(header($r, 'x-ratelimit-reset-tokens'), qr/^7h1[12]m/, 'openai: a refusal: until it is full');
cmp_ok(header($r, 'Retry-After'), '<=', 4 * 864, 'openai: a refusal: until it would pass');
is(scalar(() = headers($r, 'x-request-id')), 1, 'openai: a refusal has an id');

# ietf

$r = complete(client => 'ietf', uri => '/ietf/v1/completions', %request);
is(header($r, 'RateLimit-Policy'), '"tokens";q=100;w=86400', 'ietf: the policy');
is(header($r, 'RateLimit'), '"tokens";r=966;t=29376', 'ietf: what is left, and for how long');
is(header($r, 'x-ratelimit-limit-tokens'), undef, 'ietf: no other style');

$r = complete(client => 'both-ietf', uri => '/ietf/v1/completions', %request);
is(header($r, 'RateLimit-Policy'), '"requests";q=10;w=3600, "tokens";q=100;w=86400',
	'ietf: both policies');
is(header($r, 'RateLimit'), '"requests";r=9;t=360, "tokens";r=966;t=29376', 'ietf: both limits');

$r = complete(client => 'ietf', uri => '/ietf/v1/completions', input => 10, max => 960);
is(status($r), 429, 'ietf: a refusal');
like(header($r, 'RateLimit'), qr/^"tokens";r=970;t=25[89]\d\d$/, 'ietf: a refusal: what is left');

# legacy

my $before = time();
$r = complete(client => 'legacy', uri => '/legacy/v1/completions', %request);
my $after = time();
is(header($r, 'X-RateLimit-Tokens-Limit'), 1000, 'legacy: the capacity');
is(header($r, 'X-RateLimit-Tokens-Remaining'), 966, 'legacy: what is left');
my $reset = header($r, 'X-RateLimit-Tokens-Reset');
ok($reset >= $before + 29376 && $reset <= $after + 29377 + 1, 'legacy: when it is full');
is(header($r, 'X-RateLimit-Tier'), 'tokens', 'legacy: the tier');
is(header($r, 'X-RateLimit-Limit'), undef, 'legacy: no requests where they are not limited');

$r = complete(client => 'both-legacy', uri => '/legacy/v1/completions', %request);
is(header($r, 'X-RateLimit-Remaining'), 9, 'legacy: requests');
is(header($r, 'X-RateLimit-Tokens-Remaining'), 966, 'legacy: and tokens');

# all, off, rules, HTTP/2

$r = complete(client => 'all', uri => '/all/v1/completions', %request);
is(header($r, $_) // '', 966, "all: $_")
	for qw/x-ratelimit-remaining-tokens X-RateLimit-Tokens-Remaining/;
like(header($r, 'RateLimit'), qr/r=966/, 'all: RateLimit');
unlike(complete(client => 'off', uri => '/off/v1/completions', %request), qr/ratelimit/i, 'off: none');
$r = complete(client => 'off', uri => '/off/v1/completions', max => 5000);
unlike($r, qr/ratelimit/i, 'off: none on a refusal');
cmp_ok(header($r, 'Retry-After'), '>', 0, 'off: but the time to wait');

$r = complete(client => 'rule', uri => '/rule/v1/completions', %request);
is(header($r, 'x-ratelimit-remaining-tokens'), 66, 'the limit of a rule, where it is the only one');
$r = complete(client => 'rule-own', uri => '/rule/v1/completions', %request);
is(header($r, 'x-ratelimit-remaining-tokens'), 966, "the client's own comes first");

$r = complete(client => 'upstream', uri => '/upstream/v1/completions', %request);
is(join(' ', headers($r, 'x-ratelimit-remaining-tokens')), 966, "the engine's own headers are replaced");
is(join(' ', headers($r, 'x-ratelimit-limit-tokens')), 1000, 'each of them');
is(header($r, 'x-ratelimit-limit-requests'), 'upstream', 'but for what we say nothing of');

# a stream has them as well

$r = complete(client => 'openai', %request, stream => 1);
is(header($r, 'x-ratelimit-remaining-tokens'), 970 - 34, 'a stream');
like(http_content($r), qr/\[DONE\]/, 'to its end');

# refusals in each dialect

my %chat = (prompt => undef, messages => [{ role => 'user', content => 'hi' }]);
my %over = (client => 'spent', max => 15);
complete(%over, tokens => 15);
my $is_refused = sub {
	my ($name, $expected, %options) = @_;
	my $response = complete(%over, %options);
	is(status($response), 429, "$name: status");
	like($response, qr/^Content-Type: application\/json\r$/mi, "$name: type");
	my $json = content_json($response);
	like(delete(($json->{error} && ref $json->{error} ? $json->{error} : $json)->{
		ref $json->{error} ? 'message' : 'error'}), qr/^Token limit reached\./, "$name: message");
	is(json($json), $expected, "$name: body");
};
my $openai = '{"error":{"code":"rate_limit_exceeded","param":null,"type":"tokens"}}';
$is_refused->('completions', $openai);
$is_refused->('chat', $openai, uri => '/v1/chat/completions', body => { %chat });
$is_refused->('Anthropic', '{"error":{"type":"rate_limit_error"},"type":"error"}',
	uri => '/v1/messages', body => { %chat });
$is_refused->('Ollama', '{}', uri => '/api/chat', body => { %chat, options => { num_predict => 15 } });
$is_refused->('TGI', '{"error_type":"overloaded"}', uri => '/tgi/generate',
	body => { inputs => 'hi', parameters => { max_new_tokens => 15 } });
is(scalar(() = headers(complete(%over, uri => '/v1/messages', body => { %chat }), 'request-id')), 1,
	'Anthropic: its SDKs find an id');

# dry_run

my %dry = (client => 'dry', uri => '/dry/v1/completions', max => 10, tokens => 10);
$r = complete(%dry);
is(header($r, 'x-ratelimit-remaining-tokens'), 5, 'dry_run: a request is counted');
$r = complete(%dry);
is(status($r), 200, 'dry_run: one too many passes');
like(http_content($r), qr/"completion_tokens":10/, 'dry_run: to the engine');
is(header($r, 'Retry-After'), undef, 'dry_run: and is told nothing of waiting');
$r = complete(client => 'dry', max => 10);
is(status($r), 429, 'and where it is no dry run, the next is refused');
is(header($r, 'x-ratelimit-remaining-tokens'), 9, 'dry_run: what would have been refused took nothing');
is(status(complete(client => 'dry-2', uri => '/dry/refuse/v1/completions', max => 30)), 200,
	'dry_run: more than the limit');

my @dry;
poll { (@dry = grep { $_->{dry_run} } audit_lines($t, 'audit.log', 1)) == 3 };
is(join(' ', map { "$_->{decision}:" . ($_->{reason} // '') } @dry),
	'allow: deny:tokens_exceeded deny:request_over_limit', 'dry_run: what was decided is logged');
is($dry[1]{output_tokens}, 10, 'dry_run: and what was used');

###############################################################################
