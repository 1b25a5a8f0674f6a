#!/usr/bin/perl

# What a tier allows and denies of what requests may ask for: in each dialect, at each level of the body, in any
# spelling; however the body comes, and wherever nginx leads the request.

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

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(454);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;

    tollgate_tier  plain   { }
    tollgate_tier  closed  { deny tools media logprobs guided_decoding logit_bias beam_search forced_output echo
                                  hidden_states media_options chat_template_kwargs background store load_options; }
    tollgate_tier  open    { allow server_tools remote_media embeds logits_processors chat_template lora priority
                                   sessions request_ids slots internals background; }
    tollgate_tier  counted { tokens 100m/d; allow background; }
    tollgate_tier  silent  { tokens 100m/d; deny background; }

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

        location /dry/ {
            tollgate_dry_run  on;
            tollgate_engine   vllm;
            proxy_pass        http://127.0.0.1:8081/;
        }

        # Led on, under the same policy and under another one.
        location /led/ {
            tollgate_engine     vllm;
            tollgate_endpoints  +POST:/led/*;
            try_files           /missing /vllm/v1/chat/completions;
        }

        location /counted/ {
            tollgate_engine     vllm;
            tollgate_endpoints  +POST:/opened +POST:/counted/any +POST:/Tokenize/;
            proxy_pass          http://127.0.0.1:8081/;
            location /counted/any {
                try_files  /missing /counted/tokenize;
            }
        }

        location /pages/ {
            tollgate_engine  vllm;
            error_page       403 /pages/tokenize;
            proxy_pass       http://127.0.0.1:8081/;
        }

    }

    server {
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        location / {
            tollgate         on;
            tollgate_engine  vllm;
            proxy_pass       http://127.0.0.1:8081;
        }
    }

}

EOC

$t->write_file('keys.json', keys_file(
	map { { key => "key-$_", client => $_, tier => $_ } } qw/plain closed open counted silent/));

start_engine($t, 8081);
start_engine($t, 8083, '--engine', 'sglang');
start_engine($t, 8084, '--engine', 'tgi');
start_engine($t, 8085, '--engine', 'llamacpp');
start_engine($t, 8086, '--engine', 'ollama');
start_engine($t, 8087);

$t->run();

my ($true, $false) = (JSON::PP::true, JSON::PP::false);

my $chat = { model => 'm', messages => [{ role => 'user', content => 'hi' }], max_tokens => 5 };
my $text = { model => 'm', prompt => 'hi', max_tokens => 5 };
my $responses = { model => 'm', input => 'hi', max_output_tokens => 5 };
my $messages = { %$chat };
my $native = { model => 'm', messages => $chat->{messages}, stream => $false };
my $generate = { inputs => 'hi', parameters => { max_new_tokens => 5 } };
my $sglang = { text => 'hi', sampling_params => { max_new_tokens => 5 } };
my $llama = { prompt => 'hi', n_predict => 5 };

# Path, body, and members that use a feature: of each there is a row.
my @rows = (
	['/vllm/v1/chat/completions', $chat,
		tools => { tools => [{ type => 'function', function => { name => 'f', parameters => {} } }] },
		tools => { functions => [{ name => 'f' }] },
		logprobs => { logprobs => $true }, logprobs => { top_logprobs => 5 }, logprobs => { prompt_logprobs => 0 },
		guided_decoding => { response_format => { type => 'json_object' } },
		guided_decoding => { guided_regex => 'a+' }, guided_decoding => { structured_outputs => { regex => 'a' } },
		logit_bias => { logit_bias => { 1 => 5 } }, logit_bias => { bad_words => ['x'] },
		beam_search => { use_beam_search => $true }, forced_output => { min_tokens => 5 },
		forced_output => { ignore_eos => $true }, echo => { echo => $true },
		media_options => { mm_processor_kwargs => { num_crops => 4 } },
		chat_template_kwargs => { chat_template_kwargs => { enable_thinking => $false } },
		chat_template => { chat_template => '{{ x }}' }, priority => { priority => -5 },
		request_ids => { request_id => 'x' }, internals => { kv_transfer_params => { remote_port => 1 } },
		server_tools => { tools => [{ type => 'mcp', server_url => 'http://169.254.169.254/' }] },
		internals => { vllm_xargs => { a => 1 } }, server_tools => { web_search_options => { a => 1 } },
		lora => { lora_request => { path => '/x' } }, logits_processors => { logits_processors => ['os.system'] },
		sessions => { session_id => 'x' },
		embeds => { messages => [{ role => 'user', content => [{ type => 'prompt_embeds', data => 'AAAA' }] }] }],
	['/vllm/v1/completions', $text,
		logprobs => { logprobs => 0 }, echo => { echo => $true }, embeds => { prompt_embeds => 'AAAA' }],
	['/openai/v1/responses', $responses,
		tools => { tools => [{ type => 'function', name => 'f' }] },
		server_tools => { tools => [{ type => 'mcp', server_url => 'http://10.0.0.1/' }] },
		server_tools => { tools => [{ type => 'shell', environment => { type => 'container_auto' } }] },
		guided_decoding => { text => { format => { type => 'json_schema', name => 'x', schema => {} } } },
		logprobs => { include => ['message.output_text.logprobs'] }, store => { store => $true },
		store => { previous_response_id => 'resp_1' }, priority => { service_tier => 'priority' },
		remote_media => { prompt => { id => 'pmpt_1',
			variables => { input => { type => 'input_image', image_url => 'http://169.254.169.254/' } } } }],
	['/anthropic/v1/messages', $messages,
		tools => { tools => [{ name => 'f', input_schema => {} }] },
		server_tools => { tools => [{ type => 'web_fetch_20250910', name => 'web_fetch' }] },
		server_tools => { mcp_servers => [{ type => 'url', url => 'http://x' }] },
		guided_decoding => { output_format => { type => 'json_schema' } }],
	['/ollama/api/chat', $native,
		tools => { tools => [{ type => 'function', function => { name => 'f' } }] },
		guided_decoding => { format => 'json' }, logprobs => { logprobs => $true },
		load_options => { keep_alive => 0 }, load_options => { options => { num_ctx => 131072 } }],
	['/ollama/api/generate', { model => 'm', prompt => 'hi', stream => $false },
		chat_template => { template => '{{ .Prompt }}' }],
	['/tgi/', $generate, remote_media => { inputs => '![](http://169.254.169.254/x)' }],
	['/tgi/generate', $generate,
		guided_decoding => { parameters => { grammar => { type => 'regex', value => 'a' } } },
		logprobs => { parameters => { decoder_input_details => $true } },
		echo => { parameters => { return_full_text => $true } }, lora => { parameters => { adapter_id => 'x' } }],
	['/sglang/generate', $sglang,
		embeds => { image_data => [{ format => 'precomputed_embedding', feature => [[0.5]] }] },
		logprobs => { return_logprob => $true }, hidden_states => { return_hidden_states => $true },
		guided_decoding => { sampling_params => { json_schema => '{}' } },
		logits_processors => { custom_logit_processor => '8004' }, lora => { lora_path => 'x' },
		sessions => { session_params => { id => 's' } }, internals => { bootstrap_host => '10.0.0.1' },
		request_ids => { rid => 'x' },
		sessions => { image_data => [{ url => 'data:image/png;base64,AAAA', content_hash => 'sha256:' . '0' x 64 }] }],
	['/llamacpp/completion', $llama,
		logprobs => { n_probs => 5 }, guided_decoding => { grammar => 'root ::= "a"' }, slots => { id_slot => 0 },
		slots => { n_discard => -1 }, lora => { lora => [{ id => 0, scale => 1 }] }],
);

my %denied_by_default = map { $_ => 1 } qw/server_tools remote_media embeds logits_processors chat_template lora priority
	sessions request_ids slots internals/;

my %dialect = (anthropic => \&anthropic, ollama => \&ollama, tgi => \&tgi);

for my $row (@rows) {
	my ($uri, $plain, @uses) = @$row;
	my ($engine) = $uri =~ m!^/(\w+)/!;
	for my $tier (qw/plain closed open/) {
		my ($r, $line) = ask_for($t, $uri, $plain, "X-API-Key: key-$tier");
		is(status($r), 200, "$uri, $tier: nothing beyond the answer") or diag($r);
	}
	while (my ($feature, $members) = splice @uses, 0, 2) {
		my $body = { %$plain, %$members };
		my $name = "$uri: $feature by " . json($members);
		my ($tier, $other) = $denied_by_default{$feature} ? qw/plain open/ : qw/closed plain/;

		my ($r, $line) = ask_for($t, $uri, $body, "X-API-Key: key-$tier");
		# A tool of the engine is a tool.
		is(join(' ', status($r), @$line{qw/reason detail/}), "403 feature_denied denied_feature $feature",
			"$name: refused");
		like(($dialect{$engine} // \&openai)->($r), $feature eq 'remote_media' ? qr/have to be fetched/ : qr/\Q$feature\E/, "$name: the answer");
		is(engine_body(port_of($engine), $line->{request_id}), undef, "$name: not for the engine");

		($r, $line) = ask_for($t, $uri, $body, "X-API-Key: key-$other");
		isnt($line->{reason} // '', 'feature_denied', "$name: let in where it is allowed");
		isnt(engine_body(port_of($engine), $line->{request_id}), undef, "$name: for the engine");
	}
}

###############################################################################

# The answer names the member.

my ($r, $line) = ask_for($t, '/vllm/v1/chat/completions', { %$chat, priority => 1 }, 'X-API-Key: key-plain');
is_deeply([@{content_json($r)->{error}}{qw/type code param/}],
	['invalid_request_error', 'access_denied', 'priority'], 'the answer in the dialect of OpenAI');
like(content_json($r)->{error}{message}, qr/priority/, 'its message');
unlike($r, qr/X-Client|audit/i, 'and nothing else');
is(header($r, 'content-type'), 'application/json', 'its type');

# TGI takes pictures out of the prompt, into which templates write the role.
for (['![](http://169.254.169.254/x)', 'x'], ['![](ht', 'tp://169.254.169.254/x)'], ['user', 'x']) {
	my ($role, $content) = @$_;
	($r, $line) = ask_for($t, '/tgi/v1/chat/completions',
		{ %$chat, messages => [{ role => $role, content => $content }] }, 'X-API-Key: key-plain');
	is($line->{detail} // '', $role eq 'user' ? '' : 'denied_feature remote_media', "a role: $role");
}

# What says nothing, asks for nothing.
for my $idle ({ tools => [] }, { tools => undef }, { logprobs => $false }, { response_format => { type => 'text' } },
	{ echo => $false }, { logit_bias => {} }, { min_tokens => 0 }, { response_format => undef }) {
	($r, $line) = ask_for($t, '/vllm/v1/chat/completions', { %$chat, %$idle }, 'X-API-Key: key-closed');
	is(status($r), 200, 'idle: ' . json($idle));
}

# Any spelling that a server might take for the name.
for my $name ('REQUEST_ID', 'Request_Id', "request_i\\u0064", "\\u0072equest_id", "request_id\\ud800") {
	my $body = json($chat) =~ s/^\{/{"$name":"x",/r;
	($r, $line) = ask_for($t, '/vllm/v1/chat/completions', $body, 'X-API-Key: key-plain');
	is("$line->{reason} $line->{detail}", 'feature_denied denied_feature request_ids', "spelled $name");
}
for my $body ('{"rid":null,"rid":"x",', '{"rid":"x","rid":null,') {
	($r, $line) = ask_for($t, '/vllm/v1/chat/completions', $body . substr(json($chat), 1), 'X-API-Key: key-plain');
	is($line->{reason}, 'feature_denied', "twice: $body");
}

# However the body comes.
my $padding = 'x' x 300_000;
my $long = { %$chat, messages => [{ role => 'user', content => $padding }], priority => 1 };
my $id = new_id();
$r = ask(chunked('/vllm/v1/chat/completions', $long, 7_000, 'X-API-Key: key-plain', "X-Request-ID: $id"));
is(status($r), 403, 'long, in chunks: refused');
$id = new_id();
$r = ask(chunked('/vllm/v1/chat/completions', $long, 7_000, 'X-API-Key: key-open', "X-Request-ID: $id"));
is(status($r), 200, 'long, in chunks: let in');
is(engine_body(8081, $id), json($long), 'long, in chunks: as it was sent');
($r, $line) = ask_for($t, '/vllm/v1/chat/completions', "\xef\xbb\xbf" . json($long), 'X-API-Key: key-plain');
is($line->{reason}, 'feature_denied', 'with a byte order mark');
($r, $line) = ask_for($t, '/vllm/v1/chat/completions', { %$chat, stream => $true, priority => 1 },
	'X-API-Key: key-plain');
is(status($r), 403, 'a stream');

SKIP: {
	skip 'no curl with HTTP/2', 2 unless $t->has_module('http_v2') and `curl --version 2>&1` =~ /HTTP2/;
	like(h2($t, '/v1/chat/completions', { %$chat, priority => 1 }, 'X-API-Key: key-plain'),
		qr!^HTTP/2 403.*priority!s, 'HTTP/2: refused');
	like(h2($t, '/v1/chat/completions', { %$chat, priority => 1 }, 'X-API-Key: key-open'),
		qr!^HTTP/2 200!, 'HTTP/2: let in');
}

###############################################################################

# In the background: the tier comes before the location.

my $background = { %$responses, background => $true };
($r, $line) = ask_for($t, '/vllm/v1/responses', $background, 'X-API-Key: key-closed');
is("$line->{reason} $line->{detail}", 'feature_denied denied_feature background', 'background: denied');
is(content_json($r)->{error}{param}, 'background', 'background: the member');
($r, $line) = ask_for($t, '/vllm/v1/responses', $background, 'X-API-Key: key-silent');
is($line->{detail}, 'denied_feature background', 'background: denied where tokens are counted');
($r, $line) = ask_for($t, '/vllm/v1/responses', $background, 'X-API-Key: key-counted');
is($line->{reason}, undef, 'background: allowed where tokens are counted');
($r, $line) = ask_for($t, '/vllm/v1/responses', $background, 'X-API-Key: key-plain');
is($line->{reason}, undef, 'background: where nobody counts');

# An answer that isn't to be kept, says so.
($r, $line) = ask_for($t, '/vllm/v1/responses', $responses, 'X-API-Key: key-closed');
is_deeply(JSON::PP->new->decode(engine_body(8081, $line->{request_id})), { %$responses, store => $false },
	'store: denied');
($r, $line) = ask_for($t, '/vllm/v1/responses', $responses, 'X-API-Key: key-open');
is(engine_body(8081, $line->{request_id}), json($responses), 'store: as it was sent');

###############################################################################

# Wherever nginx leads the request.

($r, $line) = ask_for($t, '/led/x', { %$chat, priority => 1 }, 'X-API-Key: key-plain');
is(status($r) . " $line->{reason}", '403 feature_denied', 'led to an endpoint: refused');
($r, $line) = ask_for($t, '/led/x', $chat, 'X-API-Key: key-plain');
is(status($r), 200, 'led to an endpoint: let in');

# Where an engine counts tokens, it prepares the request.
my $template = { %$chat, chat_template_kwargs => { tokenize => $true } };
my $fetched = { %$chat, messages => [{ role => 'user', content => [{ image_url => { url => 'http://10.0.0.1/' } }] }] };
for my $uri (qw!/vllm/tokenize /vllm/v1/messages/count_tokens /counted/tokenize /counted/Tokenize/!) {
	for my $body ($template, $fetched, { %$chat, chat_template => 'x' }) {
		($r, $line) = ask_for($t, $uri, $body, 'X-API-Key: key-plain');
		is($line->{reason}, 'feature_denied', "$uri: refused");
		is(engine_body(8081, $line->{request_id}), undef, "$uri: not for the engine");
	}
	($r, $line) = ask_for($t, $uri, $chat, 'X-API-Key: key-plain');
	is($line->{reason}, undef, "$uri: let in");
}
($r, $line) = ask_for($t, '/counted/any', $fetched, 'X-API-Key: key-plain');
is(status($r) . " $line->{reason}", '403 feature_denied', 'led to where tokens are counted: refused');
($r, $line) = ask_for($t, '/vllm/tokenize', '{"prompt":NaN}', 'X-API-Key: key-plain');
is(status($r), 400, 'no JSON where tokens are counted');
($r, $line) = ask_for($t, '/pages/v1/chat/completions', $fetched, 'X-API-Key: key-plain');
isnt(status($r), 200, 'refused, and led to where tokens are counted');
is(engine_body(8081, $line->{request_id}), undef, 'refused, and led on: not for the engine');

# What isn't read can't be judged.
for my $path (qw!/v1/audio/transcriptions /cohere/v2/chat!) {
	($r, $line) = ask_for($t, "/vllm$path", { model => 'm' }, 'X-API-Key: key-closed');
	is(join(' ', @$line{qw/reason detail/}), 'endpoint_denied unread_endpoint', "$path: the tier says something");
	($r, $line) = ask_for($t, "/vllm$path", { model => 'm' }, 'X-API-Key: key-plain');
	is($line->{reason}, undef, "$path: the tier says nothing");
}
($r, $line) = ask_for($t, '/counted/opened', { model => 'm' }, 'X-API-Key: key-closed');
is($line->{reason}, undef, 'opened by tollgate_endpoints');

# Nobody is refused by tollgate_dry_run, and nothing is changed.
($r, $line) = ask_for($t, '/dry/v1/chat/completions', { %$chat, priority => 1 }, 'X-API-Key: key-plain');
is(status($r), 200, 'dry run: let in');
is("$line->{decision} $line->{reason}", 'deny feature_denied', 'dry run: and told');
($r, $line) = ask_for($t, '/dry/v1/responses', $responses, 'X-API-Key: key-closed');
is(engine_body(8081, $line->{request_id}), json($responses), 'dry run: as it was sent');

$t->stop();
like($t->read_file('error.log'), qr/feature_denied \(denied_feature\): the request uses "\w+", which the tier/,
	'the error log');



###############################################################################

sub port_of {
	my ($engine) = @_;
	return { sglang => 8083, tgi => 8084, llamacpp => 8085, ollama => 8086, anthropic => 8087 }->{$engine} // 8081;
}

sub openai {
	my ($r) = @_;
	my $error = content_json($r)->{error};
	return ($error->{code} // '') eq 'access_denied' && $error->{param} ? $error->{message} : '';
}

sub anthropic {
	my ($r) = @_;
	my $body = content_json($r);
	return $body->{type} eq 'error' && $body->{error}{type} eq 'permission_error' ? $body->{error}{message} : '';
}

sub ollama {
	my ($r) = @_;
	return content_json($r)->{error};
}

sub tgi {
	my ($r) = @_;
	my $body = content_json($r);
	return $body->{error_type} eq 'permission' ? $body->{error} : '';
}
