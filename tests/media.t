#!/usr/bin/perl

# Media that the engine would have to fetch are refused, in whatever place of whichever dialect they stand, unless
# the tier allows them; those that come with the request pass, unless the tier denies all.

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

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(364);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;

    tollgate_tier  plain   { }
    tollgate_tier  fetched { allow remote_media; }
    tollgate_tier  none    { deny media; }

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
	map { { key => "key-$_", client => $_, tier => $_ } } qw/plain fetched none/));

start_engine($t, 8081);
start_engine($t, 8083, '--engine', 'sglang');
start_engine($t, 8084, '--engine', 'tgi');
start_engine($t, 8085, '--engine', 'llamacpp');
start_engine($t, 8086, '--engine', 'ollama');
start_engine($t, 8087);

$t->run();

my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my %port = (sglang => 8083, tgi => 8084, llamacpp => 8085, ollama => 8086, anthropic => 8087);

my $data = 'data:image/png;base64,iVBORw0KGgo=';
my @remote = ('http://169.254.169.254/latest/meta-data/', 'https://example.com/a.png', 'file:///etc/passwd',
	'ftp://example.com/a', 'HTTP://EXAMPLE.COM/', '//example.com/a', '/etc/passwd', ' data:,', 'DATA:,x');

# Path, and a body with what is given in the place of a picture: one by URL, and one in a data: URL.
my @places = (
	['/vllm/v1/chat/completions', sub { chat({ type => 'image_url', image_url => { url => shift } }) }],
	['/vllm/v1/chat/completions', sub { chat({ image_url => shift }) }],
	['/vllm/v1/chat/completions', sub { chat({ type => 'video_url', video_url => { url => shift } }) }],
	['/vllm/v1/chat/completions', sub { chat({ type => 'audio_url', audio_url => { url => shift } }) }],
	['/vllm/v1/chat/completions', sub { chat({ type => 'file', file => { file_url => shift } }) }],
	['/vllm/v1/chat/completions', sub { +{ model => 'm', max_tokens => 5, messages => [
		{ role => 'tool', content => [{ type => 'image_url', image_url => { url => shift } }] }] } }],
	['/vllm/v1/chat/completions/batch', sub { +{ model => 'm', messages => [
		[{ role => 'user', content => [{ image_url => { url => shift } }] }]] } }],
	['/sglang/v1/chat/completions', sub { chat({ type => 'image_url', image_url => { url => shift } }) }],
	['/tgi/v1/chat/completions', sub { chat({ type => 'image_url', image_url => { url => shift } }) }],
	['/llamacpp/v1/chat/completions', sub { chat({ type => 'image_url', image_url => { url => shift } }) }],
	['/ollama/v1/chat/completions', sub { chat({ type => 'image_url', image_url => { url => shift } }) }],
	['/openai/v1/responses', sub { input({ type => 'input_image', image_url => shift }) }],
	['/openai/v1/responses', sub { input({ type => 'input_file', file_url => shift }) }],
	['/openai/v1/responses', sub { +{ model => 'm', max_output_tokens => 5, input => [{ type => 'computer_call_output',
		call_id => 'c', output => { type => 'computer_screenshot', image_url => shift } }] } }],
	['/anthropic/v1/messages', sub { chat({ type => 'image', source => { type => 'url', url => shift } }) }],
	['/anthropic/v1/messages', sub { chat({ type => 'document', source => { url => shift, type => 'url' } }) }],
	['/anthropic/v1/messages', sub { chat({ type => 'tool_result', tool_use_id => 't', content => [
		{ type => 'image', source => { type => 'url', url => shift } }] }) }],
	['/sglang/generate', sub { +{ text => 'x', image_data => shift, sampling_params => { max_new_tokens => 5 } } }],
	['/sglang/generate', sub { +{ text => 'x', video_data => [[shift]], sampling_params => { max_new_tokens => 5 } } }],
	['/sglang/v1/embeddings', sub { +{ model => 'm', input => [{ text => 'x', image => shift }] } }],
	['/vllm/score', sub { +{ model => 'm', data_1 => 'x',
		data_2 => { content => [{ type => 'image_url', image_url => { url => shift } }] } } }],
);

for my $place (@places) {
	my ($uri, $body_with) = @$place;
	for my $url (@remote) {
		my $body = $body_with->($url);
		my $name = "$uri: " . json($body);
		my ($r, $line) = ask_for($t, $uri, $body, 'X-API-Key: key-plain');
		is(join(' ', @$line{qw/reason detail/}), 'feature_denied denied_feature remote_media', "$name: refused");
	}
	my ($far, $near) = map { $body_with->($_) } $remote[0], $data;
	my ($r, $line) = ask_for($t, $uri, $far, 'X-API-Key: key-plain');
	is(engine_body($port{(split m!/!, $uri)[1]} // 8081, $line->{request_id}), undef, "$uri: not for the engine");
	like($r, qr/data: URL/, "$uri: the way out");
	($r, $line) = ask_for($t, $uri, $near, 'X-API-Key: key-plain');
	is($line->{reason}, undef, "$uri: in a data: URL");
	($r, $line) = ask_for($t, $uri, $far, 'X-API-Key: key-fetched');
	is($line->{reason}, undef, "$uri: where they are allowed");
	for my $body ($far, $near) {
		($r, $line) = ask_for($t, $uri, $body, 'X-API-Key: key-none');
		is(join(' ', @$line{qw/reason detail/}), 'feature_denied denied_feature media', "$uri: none at all");
	}
}

###############################################################################

# Bytes in base64, and ids of what is kept, need no fetching.
for my $row (
	['/openai/v1/chat/completions', chat({ type => 'input_audio', input_audio => { data => 'UklGRg==', format => 'wav' } })],
	['/openai/v1/chat/completions', chat({ type => 'file', file => { file_id => 'file-1' } })],
	['/anthropic/v1/messages', chat({ type => 'image', source => { type => 'base64', media_type => 'image/png',
		data => '/9j/4AAQSkZJRg' } })],
	['/ollama/api/chat', { model => 'm', stream => $false, messages => [{ role => 'user', content => 'x', images => ['/9j/4A'] }] }],
	['/ollama/api/generate', { model => 'm', stream => $false, prompt => 'x', images => ['iVBORw0KGgo='] }],
	['/llamacpp/completion', { n_predict => 5, prompt => { prompt_string => '<__media__>', multimodal_data => ['iVBO'] } }],
	['/sglang/generate', { text => 'x', image_data => 'A' x 5_000, sampling_params => { max_new_tokens => 5 } }],
) {
	my ($uri, $body) = @$row;
	my ($r, $line) = ask_for($t, $uri, $body, 'X-API-Key: key-plain');
	is($line->{reason}, undef, "$uri: bytes");
	($r, $line) = ask_for($t, $uri, $body, 'X-API-Key: key-none');
	is(join(' ', @$line{qw/reason detail/}), 'feature_denied denied_feature media', "$uri: no bytes either");
}

# What looks like one, and is something else.
for my $body (
	chat({ type => 'text', text => 'see http://example.com/a.png and ![](http://example.com/)' }),
	{ model => 'm', max_tokens => 5, messages => [{ role => 'user', content => 'image_url: http://example.com' }] },
	chat({ type => 'tool_use', id => 't', name => 'f', input => { image_url => 'http://example.com' } }),
	chat({ type => 'document', source => { type => 'text', media_type => 'text/plain', data => 'http://example.com' } }),
	+{ %{chat({ type => 'text', text => 'x' })}, tools => [{ name => 'f', input_schema => { properties =>
		{ image_url => { type => 'string', default => 'http://x' } } } }] },
) {
	for my $tier (qw/plain none/) {
		my ($r, $line) = ask_for($t, '/anthropic/v1/messages', $body, "X-API-Key: key-$tier");
		is($line->{reason}, undef, "$tier, no medium: " . json($body));
	}
}

# TGI takes pictures out of the text, wherever that was put together from.
for my $row (
	['/tgi/generate', { inputs => 'a ![](http://169.254.169.254/) b' }],
	['/tgi/generate_stream', { inputs => '![](https://example.com/)' }],
	['/tgi/tokenize', { inputs => '![](https://example.com/)' }],
	['/tgi/v1/completions', { model => 'm', prompt => '![](http://example.com/)', max_tokens => 5 }],
	['/tgi/v1/chat/completions', chat({ type => 'text', text => '![](http://example.com/)' })],
	['/tgi/v1/chat/completions', chat({ type => 'text', text => '![](ht' }, { type => 'text', text => 'x', 'text2' => 'y' },
		{ type => 'text', text => 'tp://example.com/)' })],
	['/tgi/v1/chat/completions', chat({ type => 'image_url', image_url => { url => "data:,)![](http://example.com/" } })],
	['/tgi/v1/chat/completions', { model => 'm', max_tokens => 5, messages => [{ role => 'assistant', tool_calls => [
		{ id => 'x', type => 'function', function => { name => 'f', arguments => { '![](http://x/)' => 1 } } }] }] }],
) {
	my ($uri, $body) = @$row;
	$body->{parameters} = { max_new_tokens => 5 } if $body->{inputs};
	my ($r, $line) = ask_for($t, $uri, $body, 'X-API-Key: key-plain');
	is(join(' ', @$line{qw/reason detail/}), 'feature_denied denied_feature remote_media', "$uri: " . json($body));
	($r, $line) = ask_for($t, $uri, $body, 'X-API-Key: key-fetched');
	is($line->{reason}, undef, "$uri: where they are allowed");
}
for my $text ('![a picture](http://example.com/)', '[](http://example.com/)', '! [](http://example.com/)') {
	my ($r, $line) = ask_for($t, '/tgi/generate', { inputs => $text, parameters => { max_new_tokens => 5 } },
		'X-API-Key: key-plain');
	is($line->{reason}, undef, "TGI fetches nothing: $text");
}

# Long pictures, cut anywhere on their way.
my $picture = 'data:image/png;base64,' . 'iVBO' x 60_000;
for my $size (1_000, 7_777, 65_536) {
	my $good = chat({ image_url => { url => $picture } });
	my $bad = chat({ image_url => { url => $picture } }, { image_url => { url => 'http://10.0.0.1/' } });
	is(Tollgate::status(ask(chunked('/vllm/v1/chat/completions', $good, $size, 'X-API-Key: key-plain'))), 200,
		"in chunks of $size");
	is(Tollgate::status(ask(chunked('/vllm/v1/chat/completions', $bad, $size, 'X-API-Key: key-plain'))), 403,
		"in chunks of $size, and one to fetch");
}

###############################################################################

sub chat {
	my (@parts) = @_;
	return { model => 'm', max_tokens => 5, messages => [{ role => 'user', content => [@parts] }] };
}

sub input {
	my (@parts) = @_;
	return { model => 'm', max_output_tokens => 5, input => [{ role => 'user', content => [@parts] }] };
}
