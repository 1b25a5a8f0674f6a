#!/usr/bin/perl

# What is judged is the path that is proxied. However nginx leads a request to an endpoint that is read,
# its body is read there, its tokens are reserved and charged; as a request it is charged once. And
# what else a client could have the engine do for free: in the background, by streams that go on without
# it, under the name of a cheaper model.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header json keys_file status/;
use Tollgate::Client;
use Tollgate::Engine qw/hold needs_engine start_engine/;
use Tollgate::Metered;

use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(107)
	->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;
    tollgate_price cheap input=1 output=1;
    tollgate_price gemma input=10 output=10;

    tollgate_tier  both    { requests 10r/h; tokens 10k/d; }
    tollgate_tier  plain   { requests 10r/h; }
    tollgate_tier  blocks  { requests 100r/h; model gemma { requests 1r/h; } }

    tollgate_limit everybody key=$tollgate_client requests=10r/h tokens=10k/d;

    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate            on;
        tollgate_engine     vllm;
        proxy_buffering     off;
        tollgate_endpoints  +POST:/try +POST:/try-named +POST:/accel/* +POST:/elsewhere +POST:/limited +GET:/echo/*
                            -/closed/v1/chat/completions;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /try {
            try_files /missing /v1/chat/completions;
        }

        # Known to be harmless, but not where it leads.
        location = /tokenize {
            try_files /missing /v1/chat/completions;
        }

        location = /detokenize {
            try_files /missing /unknown;
        }

        location /try-named {
            try_files /missing @engine;
        }

        location @engine {
            rewrite     ^ /v1/chat/completions break;
            proxy_pass  http://127.0.0.1:8081;
        }

        location /last {
            rewrite ^ /v1/chat/completions last;
        }

        location /break {
            rewrite     ^ /v1/chat/completions break;
            proxy_pass  http://127.0.0.1:8081;
        }

        location /v1/completions {
            error_page  502 = @fallback;
            proxy_pass  http://127.0.0.1:8083;
        }

        location @fallback {
            rewrite     ^ /v1/chat/completions break;
            proxy_pass  http://127.0.0.1:8081;
        }

        # Another policy, with a limit of its own.
        location /limited {
            tollgate_apply  everybody;
            rewrite         ^ /v1/chat/completions break;
            proxy_pass      http://127.0.0.1:8081;
        }

        location /elsewhere {
            try_files /missing /limited;
        }

        # The same endpoint, but closed.
        location = /y/v1/chat/completions {
            try_files /missing /closed/v1/chat/completions;
        }

        location /closed/ {
            proxy_pass http://127.0.0.1:8081/;
        }

        location /background/ {
            tollgate_background  on;
            proxy_pass           http://127.0.0.1:8081/;
        }

        location /one/ {
            tollgate_model  gemma;
            proxy_pass      http://127.0.0.1:8081/;

            location /one/any/ {
                tollgate_model  off;
                proxy_pass      http://127.0.0.1:8081/;
            }
        }

        location /llamacpp/ {
            tollgate_engine  llamacpp;
            proxy_pass       http://127.0.0.1:8081/;

            location /llamacpp/resumable/ {
                tollgate_resumable_streams  on;
                proxy_pass                  http://127.0.0.1:8081/;
            }
        }

        location /openai/ {
            tollgate_engine  openai;
            proxy_pass       http://127.0.0.1:8081/;
        }
    }
}

EOC

my @clients = map { "c$_" } 1 .. 20;
$t->write_file('keys.json', keys_file(
	(map { { key => "key-$_", client => $_, tier => 'both' } } @clients),
	(map { { key => "plain-$_", client => "p-$_", tier => 'plain' } } @clients),
	{ key => 'key-blocks', client => 'blocks', tier => 'blocks' },
));
start_engine($t, 8081);
$t->run();

my $chat = '/v1/chat/completions';
my $bounded = { model => 'm', max_tokens => 50, messages => [ { role => 'user', content => 'one two' } ] };
my ($r, $line);

###############################################################################

# Each way to a metered endpoint: one request, and its tokens.

for my $uri ($chat, qw!/try /tokenize /try-named /last /break /v1/completions /limited /elsewhere!) {
	my $client = shift @clients;
	($r, $line) = ask_for($t, $uri, $bounded, "X-API-Key: key-$client", 'X-Mock-Tokens: 20');
	is(status($r), 200, "$uri: let through");
	is(header($r, 'x-ratelimit-remaining-requests'), 9, "$uri: charged once");
	# A bound of 50, and what is estimated of the input.
	cmp_ok(header($r, 'x-ratelimit-remaining-tokens'), '<=', 10_000 - 50, "$uri: tokens reserved");
	cmp_ok(header($r, 'x-ratelimit-remaining-tokens'), '>', 10_000 - 100, "$uri: once");
	is(join(' ', map { $line->{$_} // '-' } qw/usage model output_tokens/), 'measured m 20',
		"$uri: the log");
	$r = ask(post($chat, { %$bounded, max_tokens => 1 }, "X-API-Key: key-$client"));
	# 20 of before and 2 of its input are charged, and 1 with its input is reserved now.
	cmp_ok(header($r, 'x-ratelimit-remaining-tokens'), '<=', 10_000 - 22 - 1, "$uri: tokens charged");
	cmp_ok(header($r, 'x-ratelimit-remaining-tokens'), '>', 10_000 - 22 - 50, "$uri: and not twice");
}

# A body that could be read in two ways, by each of them.
my $client = shift @clients;
for my $uri (qw!/try /tokenize /try-named /last /break /elsewhere!) {
	$r = ask(post($uri, '{"model":"m","MODEL":"n"}', "X-API-Key: key-$client"));
	is(status($r), 400, "$uri: read");
}
for my $uri (qw!/try /tokenize!) {
	($r, $line) = ask_for($t, $uri, $bounded, "X-API-Key: plain-$client", 'X-Mock-Tokens: 20');
	is(($line->{output_tokens} // 0), 20, "$uri: also where nobody counts");
}
($r, $line) = ask_for($t, '/detokenize', {}, "X-API-Key: key-$client");
is(status($r) . " $line->{reason}", '403 endpoint_denied', 'from a harmless path to an unknown one');
($r, $line) = ask_for($t, '/detokenize', {}, "X-API-Key: plain-$client");
is($line->{decision}, 'deny', 'the same where nobody counts');
is(status(ask(post('/try', $bounded))), 401, 'not without a key');

($r, $line) = ask_for($t, '/y/v1/chat/completions', $bounded, "X-API-Key: plain-$client");
is(status($r) . " $line->{reason}", '403 endpoint_denied', 'to an endpoint of the same form that is closed');

###############################################################################

# Responses in the background.

$client = shift @clients;
my $responses = { model => 'm', input => 'one two', max_output_tokens => 50 };
for my $streams (\0, \1) {
	($r, $line) = ask_for($t, '/v1/responses', { %$responses, background => \1, stream => $streams },
		"X-API-Key: key-$client");
	is(status($r) . " $line->{reason}", '403 feature_denied', 'background: refused');
	is_deeply([ @{content_json($r)->{error}}{qw/type code param/} ],
		['invalid_request_error', 'access_denied', 'background'], 'background: the answer');
	is(engine_body(8081, $line->{request_id}), undef, 'background: not for the engine');
}
for my $body ({ %$responses, background => \0 }, { %$responses, background => undef }, $responses) {
	is(status(ask(post('/v1/responses', $body, "X-API-Key: key-$client"))), 200, 'not background');
}
is(status(ask(post('/v1/responses', { %$responses, background => 'true' }, "X-API-Key: key-$client"))),
	400, 'background: a string');
is(status(ask(post('/v1/responses', { %$responses, background => \1 }, "X-API-Key: plain-$client"))), 200,
	'background: where nobody counts');
$client = shift @clients;
$r = ask(post('/background/v1/responses', { %$responses, background => \1 }, "X-API-Key: key-$client"));
is(status($r), 200, 'background: where it is let in');
cmp_ok(header($r, 'x-ratelimit-remaining-tokens'), '<=', 10_000 - 50, 'background: reserved');

###############################################################################

# One model, whatever is named.

($r, $line) = ask_for($t, "/one$chat", { %$bounded, model => 'cheap' }, 'X-API-Key: key-blocks',
	'X-Mock-Tokens: 20');
is(status($r), 200, 'one model: let through');
is("$line->{model} " . sprintf('%.6f', $line->{cost}), 'gemma 0.000220', 'one model: its name and its price');
is(JSON::PP->new->decode(engine_body(8081, $line->{request_id}))->{model}, 'cheap',
	'one model: the body is as it was');
($r, $line) = ask_for($t, "/one$chat", { %$bounded, model => 'cheap' }, 'X-API-Key: key-blocks');
is(status($r) . " $line->{reason}", '429 requests_exceeded', 'one model: its limits');
($r, $line) = ask_for($t, "/one/any$chat", { %$bounded, model => 'cheap' }, 'X-API-Key: key-blocks',
	'X-Mock-Tokens: 20');
is("$line->{model} " . sprintf('%.6f', $line->{cost}), 'cheap 0.000022', 'off in a nested location');

###############################################################################

# Streams that go on without their client.

for (
	['/llamacpp', 0], ['/openai', 0], ['/llamacpp/resumable', 1], ['', 1],
) {
	my ($place, $passes) = @$_;
	for my $name ('X-Conversation-Id', 'x-conversation-ID') {
		my $echo = content_json(ask(request("GET $place/echo/x", 'X-API-Key: key-blocks', "$name: conv")));
		my @got = grep { lc $_->[0] eq 'x-conversation-id' } @{$echo->{headers}};
		is(scalar(@got), $passes, "$place: $name");
	}
}

# What goes on is charged as reserved when its client leaves.
for ([''], ['X-Conversation-Id: conv', '/resumable'], ['X-Conversation-Id: conv']) {
	my ($header, $place) = @$_;
	my $resumes = defined $place;
	$client = shift @clients;
	my $id = new_id();
	my ($stream) = hold(client => $client, uri => '/llamacpp' . ($place // '') . '/v1/completions',
		max => 50, tokens => 5, lines => ["X-Request-ID: $id", $header || 'X-Nothing: 1']);
	$stream->peek(sub { $_[0] =~ /data:.*(?:data:.*){4}/s });
	$stream->close();
	my ($line) = audited($t, $id);
	is($line->{output_tokens}, $resumes ? 50 : 5, ($place // '/') . ": left, $header");
}

# Another model than that of the body.

for (['', 0], ['/openai', 0], ['/llamacpp', 1]) {
	my ($place, $passes) = @$_;
	my $echo = content_json(ask(request("GET $place/echo/x", 'X-API-Key: key-blocks',
		'X-Amzn-SageMaker-Adapter-Identifier: cheap')));
	my @got = grep { lc $_->[0] =~ /adapter/i } @{$echo->{headers}};
	is(scalar(@got), $passes, "$place: X-Amzn-SageMaker-Adapter-Identifier");
}

###############################################################################
