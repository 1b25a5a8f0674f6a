#!/usr/bin/perl

# Members of a body that the engine doesn't know are passed on, refused or taken out. Those that it knows are those of
# its request models, at both levels.

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

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(179);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;

    tollgate_tier  plain  { }
    tollgate_tier  denied { unknown_members deny; allow priority request_ids slots lora; }
    tollgate_tier  bare   { unknown_members strip; }
    tollgate_tier  both   { unknown_members strip; max_output_tokens 20; }

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

    }
}

EOC

$t->write_file('keys.json', keys_file(
	map { { key => "key-$_", client => $_, tier => $_ } } qw/plain denied bare both/));

start_engine($t, 8081);
start_engine($t, 8083, '--engine', 'sglang');
start_engine($t, 8084, '--engine', 'tgi');
start_engine($t, 8085, '--engine', 'llamacpp');
start_engine($t, 8086, '--engine', 'ollama');
start_engine($t, 8087);

$t->run();

my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my %port = (sglang => 8083, tgi => 8084, llamacpp => 8085, ollama => 8086, anthropic => 8087);

my $messages = [{ role => 'user', content => 'hi', 'cache_control' => { type => 'x' } }];

# Path, members that are known, and such that aren't.
my @rows = (
	['/vllm/v1/chat/completions', { model => 'm', messages => $messages, max_tokens => 5, top_k => 5, seed => 1,
		chat_template_kwargs => { x => 1 }, stop_token_ids => [1] },
		{ max_new_tokens => 5 }, { Seed => 1 }, { num_ctx => 5 }, { repeat_penalty => 1 }, { 'top_k ' => 1 }],
	['/openai/v1/chat/completions', { model => 'm', messages => $messages, max_tokens => 5, verbosity => 'low', store => $false },
		{ top_k => 5 }, { guided_regex => 'a' }, { '' => 1 }],
	['/sglang/v1/chat/completions', { model => 'm', messages => $messages, max_tokens => 5, regex => 'a', top_k => 5 },
		{ guided_regex => 'a' }, { num_predict => 5 }],
	['/llamacpp/v1/chat/completions', { model => 'm', messages => $messages, max_tokens => 5, mirostat => 2, cache_prompt => $true },
		{ guided_regex => 'a' }, { keep_alive => 0 }],
	['/tgi/v1/chat/completions', { model => 'm', messages => $messages, max_tokens => 5, tool_prompt => 'x' },
		{ top_k => 5 }, { repetition_penalty => 1 }],
	['/ollama/v1/chat/completions', { model => 'm', messages => $messages, max_tokens => 5, reasoning_effort => 'low' },
		{ options => { num_ctx => 5 } }, { keep_alive => 0 }],
	['/vllm/v1/completions', { model => 'm', prompt => 'x', max_tokens => 5, min_p => 0 }, { messages => [] }, { options => {} }],
	['/vllm/v1/responses', { model => 'm', input => 'x', max_output_tokens => 5, top_k => 5 }, { max_tokens => 5 }],
	['/anthropic/v1/messages', { model => 'm', messages => $messages, max_tokens => 5, top_k => 5, thinking => { type => 'disabled' } },
		{ n => 2 }, { logit_bias => { 1 => 1 } }],
	['/vllm/v1/embeddings', { model => 'm', input => 'x', dimensions => 5, encoding_format => 'float' }, { temperature => 1 }],
	['/ollama/api/chat', { model => 'm', messages => $messages, stream => $false, think => $false,
		options => { num_predict => 5, top_k => 5 } }, { max_tokens => 5 }, { temperature => 1 }],
	['/sglang/generate', { text => 'x', sampling_params => { max_new_tokens => 5, top_k => 5 } }, { prompt => 'x' }],
	['/tgi/generate', { inputs => 'x', parameters => { max_new_tokens => 5, top_k => 5 } }, { prompt => 'x' }],
	['/llamacpp/completion', { prompt => 'x', n_predict => 5, top_k => 5 }, { sampling_params => { top_k => 5 } }],
);

for my $row (@rows) {
	my ($uri, $known, @unknown) = @$row;
	my $port = $port{(split m!/!, $uri)[1]} // 8081;
	for my $tier (qw/plain denied bare/) {
		my ($r, $line) = ask_for($t, $uri, $known, "X-API-Key: key-$tier");
		is(engine_body($port, $line->{request_id}), json($known), "$uri, $tier: all is known") or diag($r);
	}
	for my $unknown (@unknown) {
		my $body = { %$known, %$unknown };
		my $name = "$uri: " . json($unknown);
		my ($r, $line) = ask_for($t, $uri, $body, 'X-API-Key: key-denied');
		is(join(' ', status($r), @$line{qw/reason detail/}), '403 feature_denied unknown_member', "$name: refused");
		my ($sent) = keys %$unknown;
		my ($told) = $r =~ /it has a field (?:\\"([^"]*)\\" )?that is not known here/;
		is($told, $sent =~ /^[\w.-]+$/ ? $sent : undef, "$name: the answer names it") if length $sent > 3;
		($r, $line) = ask_for($t, $uri, $body, 'X-API-Key: key-bare');
		is(engine_body($port, $line->{request_id}), json($known), "$name: taken out");
		($r, $line) = ask_for($t, $uri, $body, 'X-API-Key: key-plain');
		is(engine_body($port, $line->{request_id}), json($body), "$name: passed on");
	}
}

# In objects of settings.
for my $row (
	['/ollama/api/chat', 'options', { model => 'm', messages => $messages, stream => $false }, { num_predict => 5 }, { min_tokens => 1 }],
	['/sglang/generate', 'sampling_params', { text => 'x' }, { max_new_tokens => 5 }, { max_tokens => 1 }],
	['/tgi/generate', 'parameters', { inputs => 'x' }, { max_new_tokens => 5 }, { min_new_tokens => 5 }],
) {
	my ($uri, $object, $plain, $known, $unknown) = @$row;
	my $port = $port{(split m!/!, $uri)[1]};
	my $body = { %$plain, $object => { %$known, %$unknown } };
	my ($r, $line) = ask_for($t, $uri, $body, 'X-API-Key: key-denied');
	is($line->{detail}, 'unknown_member', "$object: refused");
	($r, $line) = ask_for($t, $uri, $body, 'X-API-Key: key-bare');
	is(engine_body($port, $line->{request_id}), json({ %$plain, $object => $known }), "$object: taken out");
	($r, $line) = ask_for($t, $uri, $body, 'X-API-Key: key-plain');
	is(engine_body($port, $line->{request_id}), json($body), "$object: passed on");
}
my ($r, $line) = ask_for($t, '/sglang/generate', { text => ['x'], sampling_params => [{ max_tokens => 1 }] }, 'X-API-Key: key-bare');
is($line->{detail}, 'unknown_member', 'nothing is taken out of a list of settings');

# The answer names it, if it may, and no log does.
for my $case (['nobody', 'nobody'], ['top-k', 'top-k'], ['<b>', undef], ["a\nb", undef], ["\x{202e}", undef], ['a' x 49, undef]) {
	my ($name, $shown) = @$case;
	my ($r, $line) = ask_for($t, '/vllm/v1/chat/completions', { model => 'm', messages => $messages, $name => 1 },
		'X-API-Key: key-denied');
	my $error = content_json($r)->{error};
	is($error->{param}, $shown, 'the member: ' . ($shown // 'not one like that'));
	like($error->{message}, $shown ? qr/has a field "$shown" that/ : qr/has a field that/, 'in the message as well');
	is($line->{detail}, 'unknown_member', 'not in the log');
}

# Together with other changes, and in a stream.
my $chat = { model => 'm', messages => $messages, max_tokens => 50, stream => $true, nobody => [{ knows => 'me' }] };
($r, $line) = ask_for($t, '/vllm/v1/chat/completions', $chat, 'X-API-Key: key-both');
my $sent = JSON::PP->new->decode(engine_body(8081, $line->{request_id}));
ok(!exists $sent->{nobody} && $sent->{max_tokens} == 20 && $sent->{stream_options}{include_usage}, 'several changes at once');
is_deeply($sent->{messages}, $messages, 'and nothing else');
my $long = { %$chat, stream => $false, messages => [{ role => 'user', content => 'y' x 200_000 }] };
my $id = new_id();
$r = ask(chunked('/vllm/v1/chat/completions', $long, 5_000, 'X-API-Key: key-bare', "X-Request-ID: $id"));
delete $long->{nobody};
is(engine_body(8081, $id), json($long), 'a long one in chunks');
