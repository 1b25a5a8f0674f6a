#!/usr/bin/perl

# How much a request may ask for: tokens of output and input, answers, messages, tools, bytes of schemas. What is
# clamped arrives clamped at the engine, and is reserved and charged as that.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header json keys_file status/;
use Tollgate::Client;
use Tollgate::Engine qw/needs_engine start_engine/;
use Tollgate::Metered;

use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(187);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;

    tollgate_tier  clamped { max_output_tokens 20; tokens 1m/d; }
    tollgate_tier  strict  { max_output_tokens 20 refuse; }
    tollgate_tier  few     { max_n 2; max_messages 2; max_tools 2; max_schema_bytes 200; max_input_tokens 100; }
    tollgate_tier  plain   { }

    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate         on;
        proxy_buffering  off;

        location /vllm/ {
            tollgate_engine  vllm;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /openai/ {
            tollgate_engine  openai;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /sglang/ {
            tollgate_engine  sglang;
            proxy_pass       http://127.0.0.1:8083/;
        }

        location /tgi/ {
            tollgate_engine  tgi;
            proxy_pass       http://127.0.0.1:8084/;
        }

        location /llamacpp/ {
            tollgate_engine  llamacpp;
            proxy_pass       http://127.0.0.1:8085/;
        }

        location /ollama/ {
            tollgate_engine  ollama;
            proxy_pass       http://127.0.0.1:8086/;
        }

        location /anthropic/ {
            tollgate_engine  anthropic;
            proxy_pass       http://127.0.0.1:8087/;
        }

        location /led/ {
            tollgate_engine     vllm;
            tollgate_endpoints  +POST:/led/*;
            try_files           /missing /vllm/v1/chat/completions;
        }

        # Another location judges the body that the client sent.
        location /twice/ {
            tollgate_engine  vllm;
            error_page       502 = @other;
            proxy_pass       http://127.0.0.1:8089/;
        }

        location @other {
            tollgate_engine  openai;
            rewrite          ^ /v1/chat/completions break;
            proxy_pass       http://127.0.0.1:8081;
        }

    }
}

EOC

$t->write_file('keys.json', keys_file(
	map { { key => "key-$_", client => $_, tier => $_ } } qw/clamped strict few plain/));

start_engine($t, 8081);
start_engine($t, 8083, '--engine', 'sglang');
start_engine($t, 8084, '--engine', 'tgi');
start_engine($t, 8085, '--engine', 'llamacpp');
start_engine($t, 8086, '--engine', 'ollama');
start_engine($t, 8087);

$t->run();

my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my %port = (sglang => 8083, tgi => 8084, llamacpp => 8085, ollama => 8086, anthropic => 8087);

my $messages = [{ role => 'user', content => 'hi' }];
my $chat = { model => 'm', messages => $messages };

# Path, body, and what of it the engine gets.
my @rows = (
	['/vllm/v1/chat/completions', { %$chat, max_tokens => 100 }, { max_tokens => 20 }],
	['/vllm/v1/chat/completions', { %$chat, max_completion_tokens => 21 }, { max_completion_tokens => 20 }],
	['/vllm/v1/chat/completions', { %$chat, max_tokens => 5, max_completion_tokens => 500 },
		{ max_tokens => 5, max_completion_tokens => 20 }],
	['/vllm/v1/chat/completions', { %$chat, max_tokens => 20 }, { max_tokens => 20 }],
	['/vllm/v1/chat/completions', $chat, { max_tokens => 20 }],
	['/vllm/v1/chat/completions', { %$chat, max_tokens => undef }, { max_tokens => 20 }],
	['/vllm/v1/chat/completions', { %$chat, stream => $true }, { max_tokens => 20 }],
	['/openai/v1/completions', { model => 'm', prompt => 'hi' }, { max_tokens => 20 }],
	['/openai/v1/completions', { model => 'm', prompt => 'hi', max_tokens => 0 }, { max_tokens => 20 }],
	['/openai/v1/responses', { model => 'm', input => 'hi', max_output_tokens => 1e6 }, { max_output_tokens => 20 }],
	['/openai/v1/responses', { model => 'm', input => 'hi' }, { max_output_tokens => 20 }],
	['/anthropic/v1/messages', { %$chat, max_tokens => 4096 }, { max_tokens => 20 }],
	['/llamacpp/v1/chat/completions', { %$chat, n_predict => -1, max_tokens => 5 }, { n_predict => 20, max_tokens => 5 }],
	['/llamacpp/completion', { prompt => 'hi' }, { max_tokens => 20 }],
	['/ollama/api/chat', { %$chat, stream => $false }, { options => { num_predict => 20 } }],
	['/ollama/api/chat', { %$chat, stream => $false, options => { seed => 1, num_predict => -1 } },
		{ options => { seed => 1, num_predict => 20 } }],
	['/ollama/api/generate', { model => 'm', prompt => 'hi', stream => $false, options => { num_predict => 50 } },
		{ options => { num_predict => 20 } }],
	['/tgi/generate', { inputs => 'hi' }, { parameters => { max_new_tokens => 20 } }],
	['/tgi/generate', { inputs => 'hi', parameters => { max_new_tokens => 50, top_k => 5 } },
		{ parameters => { max_new_tokens => 20, top_k => 5 } }],
	['/sglang/generate', { text => 'hi' }, { sampling_params => { max_new_tokens => 20 } }],
	['/sglang/generate', { text => 'hi', sampling_params => { max_new_tokens => 50 } },
		{ sampling_params => { max_new_tokens => 20 } }],
	['/led/x', { %$chat, max_tokens => 100 }, { max_tokens => 20 }],
);
for my $row (@rows) {
	my ($uri, $body, $changes) = @$row;
	my $name = "$uri: " . json($body);
	my $port = $port{(split m!/!, $uri)[1]} // 8081;
	my ($r, $line) = ask_for($t, $uri, $body, 'X-API-Key: key-clamped', 'X-Mock-Tokens: 500');
	is(status($r), 200, "$name: let in") or diag($r);
	my $sent = JSON::PP->new->decode(engine_body($port, $line->{request_id}));
	# What was asked for so that the stream tells its usage.
	delete $sent->{stream_options};
	is_deeply($sent, { %$body, %$changes }, "$name: clamped");
	# What TGI says only if it is asked for details.
	cmp_ok($line->{output_tokens}, '<=', $uri =~ /tgi/ ? 30 : 20, "$name: charged, and no more");
	($r, $line) = ask_for($t, $uri, $body, 'X-API-Key: key-plain', 'X-Mock-Tokens: 1');
	is(engine_body($port, $line->{request_id}), json($body), "$name: as it was sent, where nothing is limited")
		unless $body->{stream};
}

# What is reserved is what was clamped.
my $before = remaining(ask(post('/vllm/v1/chat/completions', { %$chat, max_tokens => 1 }, 'X-API-Key: key-clamped')));
my $connection = connection();
my $head = $connection->ask(post('/vllm/v1/chat/completions', { %$chat, max_tokens => 500_000, stream => $true },
	'X-API-Key: key-clamped', 'X-Mock-Hold: 1'), head => 1);
cmp_ok($before - remaining($head), '<', 100, 'reserved as clamped');
$connection->close();

# Refused, where the tier says so; one is put in all the same.
my ($r, $line) = ask_for($t, '/vllm/v1/chat/completions', { %$chat, max_tokens => 21 }, 'X-API-Key: key-strict');
is(join(' ', status($r), @$line{qw/reason detail/}), '403 feature_denied over_maximum max_output_tokens', 'refused');
is_deeply([@{content_json($r)->{error}}{qw/code param/}], ['access_denied', 'max_tokens'], 'refused: the answer');
like(content_json($r)->{error}{message}, qr/more than 20 tokens of output/, 'refused: the message');
($r) = ask_for($t, '/vllm/v1/chat/completions', { %$chat, max_completion_tokens => 21 }, 'X-API-Key: key-strict');
is(content_json($r)->{error}{param}, 'max_completion_tokens', 'refused: the member that the client has sent');
($r) = ask_for($t, '/vllm/v1/chat/completions', { %$chat, guided_regex => 'a' x 201, tools => [{ type => 'function' }] },
	'X-API-Key: key-few');
is(content_json($r)->{error}{param}, 'guided_regex', 'refused: the member with most of the schemas');
for my $body ({ %$chat, max_tokens => 20 }, $chat) {
	($r, $line) = ask_for($t, '/vllm/v1/chat/completions', $body, 'X-API-Key: key-strict', 'X-Mock-Tokens: 500');
	is(JSON::PP->new->decode(engine_body(8081, $line->{request_id}))->{max_tokens}, 20, 'within, or none');
}
($r, $line) = ask_for($t, '/anthropic/v1/messages', { %$chat, max_tokens => 21 }, 'X-API-Key: key-strict');
is(content_json($r)->{error}{type}, 'permission_error', 'refused: the dialect of Anthropic');
for my $list ([{ n => 1 }, { n => 1 }], [{ max_new_tokens => 5 }, {}], [{ max_new_tokens => 5 }, { max_new_tokens => undef }],
	[{ max_new_tokens => 5 }, undef]) {
	($r, $line) = ask_for($t, '/sglang/generate', { text => ['a', 'b'], sampling_params => $list }, 'X-API-Key: key-clamped');
	is($line->{detail}, 'over_maximum max_output_tokens', 'a list of settings without a bound: ' . json($list));
}
($r, $line) = ask_for($t, '/sglang/generate', { text => ['a', 'b'],
	sampling_params => [{ max_new_tokens => 5 }, { max_new_tokens => 20 }] }, 'X-API-Key: key-clamped');
is(status($r), 200, 'a list of settings, each with a bound');

# Led to another location, the client's own body is judged anew.
($r, $line) = ask_for($t, '/twice/v1/chat/completions', { %$chat, max_tokens => 100 }, 'X-API-Key: key-clamped');
is(status($r), 200, 'led on after the engine failed');
is(JSON::PP->new->decode(engine_body(8081, $line->{request_id}))->{max_tokens}, 20, 'led on: clamped once');

###############################################################################

my $tool = { type => 'function', function => { name => 'f', parameters => {} } };
my @few = (
	['max_n', '/vllm/v1/chat/completions', { %$chat, n => 2 }, { %$chat, n => 3 }],
	['max_n', '/vllm/v1/completions', { model => 'm', prompt => ['a', 'b'] }, { model => 'm', prompt => ['a', 'b', 'c'] }],
	['max_n', '/vllm/v1/completions', { model => 'm', prompt => 'a', best_of => 2 },
		{ model => 'm', prompt => 'a', best_of => 3 }],
	['max_n', '/vllm/v1/completions', { model => 'm', prompt => 'a', n => 2 },
		{ model => 'm', prompt => ['a', 'b'], n => 2 }],
	['max_n', '/llamacpp/completion', { prompt => 'a', n_cmpl => 2 }, { prompt => 'a', n_cmpl => 3 }],
	['max_n', '/sglang/generate', { text => 'a', sampling_params => { n => 2 } }, { text => 'a', sampling_params => { n => 3 } }],
	['max_n', '/tgi/generate', { inputs => 'a', parameters => { best_of => 2 } },
		{ inputs => 'a', parameters => { best_of => 3 } }],
	['max_messages', '/vllm/v1/chat/completions', { model => 'm', messages => [(@$messages) x 2] },
		{ model => 'm', messages => [(@$messages) x 3] }],
	['max_messages', '/anthropic/v1/messages', { model => 'm', max_tokens => 5, messages => [(@$messages) x 2] },
		{ model => 'm', max_tokens => 5, messages => [(@$messages) x 3] }],
	['max_messages', '/openai/v1/responses', { model => 'm', input => [(@$messages) x 2] },
		{ model => 'm', input => [(@$messages) x 3] }],
	['max_messages', '/ollama/api/chat', { model => 'm', stream => $false, messages => [(@$messages) x 2] },
		{ model => 'm', stream => $false, messages => [(@$messages) x 3] }],
	['max_tools', '/vllm/v1/chat/completions', { %$chat, tools => [$tool, $tool] },
		{ %$chat, tools => [$tool, $tool], functions => [{ name => 'g' }] }],
	['max_tools', '/anthropic/v1/messages', { %$chat, max_tokens => 5, tools => [({ name => 'f', input_schema => {} }) x 2] },
		{ %$chat, max_tokens => 5, tools => [({ name => 'f', input_schema => {} }) x 3] }],
	['max_schema_bytes', '/vllm/v1/chat/completions', { %$chat, guided_regex => 'a' x 190 },
		{ %$chat, guided_regex => 'a' x 201 }],
	['max_schema_bytes', '/vllm/v1/chat/completions', { %$chat, tools => [$tool] },
		{ %$chat, tools => [{ %$tool, function => { name => 'f', parameters => { enum => ['abcdef' x 40] } } }] }],
	['max_schema_bytes', '/vllm/v1/chat/completions', { %$chat, response_format => { type => 'json_object' } },
		{ %$chat, response_format => { type => 'json_schema', json_schema => { schema => { pattern => '(a+)+' x 50 } } } }],
	['max_schema_bytes', '/ollama/api/chat', { %$chat, stream => $false, format => 'json' },
		{ %$chat, stream => $false, format => { type => 'object', pattern => 'x' x 200 } }],
	['max_schema_bytes', '/llamacpp/completion', { prompt => 'a', grammar => 'root ::= "a"' },
		{ prompt => 'a', grammar => 'root ::= "a"' . ' ' x 200 }],
	# Token ids are exact.
	['max_input_tokens', '/vllm/v1/completions', { model => 'm', prompt => [1 .. 80] }, { model => 'm', prompt => [1 .. 101] }],
	['max_input_tokens', '/vllm/v1/embeddings', { model => 'm', input => [1 .. 80] }, { model => 'm', input => [1 .. 101] }],
	['max_input_tokens', '/vllm/v1/chat/completions', $chat,
		{ model => 'm', messages => [{ role => 'user', content => 'some words ' x 1_000 }] }],
);
for my $row (@few) {
	my ($maximum, $uri, $good, $bad) = @$row;
	my $name = "$uri, $maximum: " . substr(json($bad), 0, 70);
	($r, $line) = ask_for($t, $uri, $bad, 'X-API-Key: key-few');
	is(join(' ', status($r), @$line{qw/reason detail/}), "403 feature_denied over_maximum $maximum", "$name: refused");
	is(engine_body($port{(split m!/!, $uri)[1]} // 8081, $line->{request_id}), undef, "$name: not for the engine");
	for my $case ([$good, 'few', 'at its edge'], [$bad, 'plain', 'where nothing is limited']) {
		my ($body, $tier, $what) = @$case;
		($r, $line) = ask_for($t, $uri, $body, "X-API-Key: key-$tier");
		is($line->{reason}, undef, "$name: $what");
	}
}

###############################################################################

sub remaining {
	my ($r) = @_;
	return header($r, 'x-ratelimit-remaining-tokens');
}
