#!/usr/bin/perl

# Halves of surrogate pairs, as tools leave them that cut an emoji, and what else engines take in JSON
# though it is none for a strict parser: in requests, which get through byte for byte, and in answers, which
# are measured all the same.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header json keys_file status/;
use Tollgate::Client;
use Tollgate::Metered;

use Digest::SHA qw/sha256_hex/;
use IO::Socket::INET;
use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my ($high, $low) = ('\ud83d', '\udc00');

# Requests that get through: a name, where to, and the body.
my $chat = '/v1/chat/completions';
my @good = (
	['a high half', $chat, qq({"model":"m","messages":[{"role":"user","content":"a $high"}]})],
	['a low half', $chat, qq({"model":"m","messages":[{"role":"user","content":"${low}x"}]})],
	['halves in the wrong order', $chat, qq({"model":"m","messages":[{"role":"user","content":"$low$high"}]})],
	['a half before a pair', $chat,
		qq({"model":"m","messages":[{"role":"user","content":"$high\\ud83d\\ude00"}]})],
	['a half in a part', $chat,
		qq({"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"$high"}]}]})],
	['a half in a tool', $chat,
		qq({"model":"m","messages":[],"tools":[{"function":{"parameters":{"$high":{"enum":["$low"]}}}}]})],
	['a half in a name', $chat, qq({"model":"m","messages":[],"$high":1,"x$low":2,"$high":3})],
	['a half in a user', $chat, qq({"model":"m","messages":[],"user":"u$high"})],
	['a half in three bytes', $chat, qq({"model":"m","messages":[{"content":"\xed\xa0\xbd"}]})],
	['a byte order mark', $chat, qq(\xef\xbb\xbf{"model":"m","messages":[]})],
	['a null character', $chat, '{"model":"m","messages":[{"content":"\u0000"}]}'],
	['a large number', $chat, '{"model":"m","messages":[],"seed":123456789012345678901234567890}'],
	['a half, Messages', '/v1/messages', qq({"model":"m","max_tokens":5,"messages":[{"content":"$high"}]})],
	['a half, Responses', '/v1/responses', qq({"model":"m","input":"$high"})],
	['a half, completions', '/v1/completions', qq({"model":"m","prompt":["$high","$low"]})],
	['a half, embeddings', '/v1/embeddings', qq({"model":"m","input":"$high"})],
	['a half, Ollama', '/api/chat', qq({"model":"m","messages":[{"content":"$high"}],"stream":false})],
	['a half, TGI', '/generate', qq({"inputs":"$high"})],
);

# Requests that don't, and what the client is told.
my @bad = (
	['a half in the model', qq({"model":"m$high","messages":[]}), '"model" has half of a surrogate pair'],
	['a low half in the model', qq({"model":"${low}m","messages":[]}), '"model" has half of a surrogate pair'],
	['a half in three bytes in the model', qq({"model":"m\xed\xa0\xbd","messages":[]}),
		'"model" has half of a surrogate pair'],
	['a half within a key', qq({"mod${high}el":"m"}), '"model" has half of a surrogate pair'],
	['a half within a second key', qq({"model":"m","model$low":"n"}), '"model" is given more than once'],
	['a half within a bound', qq({"model":"m","max_tokens$low":5}),
		'"max_tokens" has half of a surrogate pair'],
	['a key twice behind a half', qq({"$high":1,"model":"m","model":"n"}), '"model" is given more than once'],
	['a stream that is a half', qq({"model":"m","stream":"$high"}), '"stream" must be true or false'],
	['no end behind a half', qq({"model":"m","messages":["$high"), 'not valid JSON'],
	['two objects with halves', qq({"a":"$high"}{"a":"$high"}), 'not valid JSON'],
	['other bytes that are no UTF-8', qq({"model":"m","a":"$high","b":"\xff"}), 'not valid JSON'],
	['NaN', '{"model":"m","messages":[],"temperature":NaN}', 'not valid JSON'],
	['Infinity', '{"model":"m","messages":[],"temperature":-Infinity}', 'not valid JSON'],
	['a number beyond all', '{"model":"m","messages":[],"temperature":1e999}', 'not valid JSON'],
	['two byte order marks', qq(\xef\xbb\xbf\xef\xbb\xbf{"model":"m"}), 'not valid JSON'],
	['UTF-16', join('', map { "$_\0" } split //, '{"model":"m"}'), 'not valid JSON'],
);

# Answers: a name, the type, the body, and what is charged.
my $usage = '"usage":{"prompt_tokens":5,"completion_tokens":7}';
my $delta = sub { qq(data: {"choices":[{"index":0,"delta":{"content":"$_[0]"}}]}\n\n) };
my @answers = (
	['a half in the text', $chat, 'application/json',
		qq({"choices":[{"index":0,"message":{"content":"a $high"}}],$usage}), 'measured 5 7'],
	['a half in a name', $chat, 'application/json',
		qq({"$high":"$low","choices":[{"$low":1,"message":{"content":"a"}}],$usage}), 'measured 5 7'],
	['a half in three bytes', $chat, 'application/json',
		qq({"choices":[{"index":0,"message":{"content":"\xed\xa0\xbd"}}],$usage}), 'measured 5 7'],
	['halves in deltas', $chat, 'text/event-stream',
		$delta->($high) . $delta->($low) . qq(data: {"choices":[],$usage}\n\ndata: [DONE]\n\n), 'measured 5 7'],
	['halves in deltas that are cut', $chat, 'text/event-stream',
		$delta->($high) . $delta->($low) . $delta->("$high$high"), 'partial 3'],
	['halves in lines', '/api/chat', 'application/x-ndjson',
		qq({"message":{"content":"$high"},"done":false}\n)
		. qq({"message":{"content":"$low"},"done":true,"prompt_eval_count":5,"eval_count":7}\n), 'measured 5 7'],
	['numbers that are none', $chat, 'application/json',
		qq({"score":NaN,"low":-Infinity,"high":Infinity,"choices":[{"logprob":NaN}],$usage}), 'measured 5 7'],
	['numbers that are none, in deltas', $chat, 'text/event-stream',
		qq(data: {"score":NaN,"choices":[{"delta":{"content":"a"},"p":-Infinity}]}\n\n)
		. qq(data: {"score":Infinity,"choices":[],$usage}\n\ndata: [DONE]\n\n), 'measured 5 7'],
);
my %served = map { $_->[0] => { type => $_->[2], body => $_->[3] } } @answers;

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(2 * @good + 3 * @bad + 4 * @answers + 5);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;
    tollgate_tier  large { tokens 100m/h; }

    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        proxy_http_version  1.1;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /vllm/ {
            tollgate_engine  vllm;
            proxy_pass       http://127.0.0.1:8081/;
        }
    }
}

EOC

$t->write_file('keys.json', keys_file({ key => 'key-large', client => 'acme', tier => 'large' }));
$t->run_daemon(\&engine_daemon, port(8081), \%served);
$t->run();
$t->waitforsocket('127.0.0.1:' . port(8081));

my $key = 'X-API-Key: key-large';

###############################################################################

for my $case (@good) {
	my ($name, $uri, $body) = @$case;
	my ($r, $line) = ask_for($t, $uri, $body, $key);
	is(status($r) . " $line->{decision}", '200 allow', "passed: $name");
	is(header($r, 'X-Got'), sha256_hex($body), "byte for byte: $name");
}

for my $case (@bad) {
	my ($name, $body, $message) = @$case;
	my ($r, $line) = ask_for($t, $chat, $body, $key);
	is(status($r) . " $line->{reason}", '400 malformed_request', "refused: $name");
	like(content_json($r)->{error}{message}, qr/\Q$message\E/, "says why: $name");
	is(header($r, 'X-Got'), undef, "never seen: $name");
}

# What is put into the body stands where it must, halves or not.

my $stream = qq({"messages":[{"content":"$high"}],"stream":true});
for my $front ('', "\xef\xbb\xbf") {
	my $body = $front . $stream;
	my ($r) = ask_for($t, $chat, $body, $key);
	my $edited = $body =~ s/\{/{"stream_options":{"include_usage":true},/r;
	is(header($r, 'X-Got'), sha256_hex($edited), 'asked for usage' . ($front && ', behind a mark'));
}
my ($r) = ask_for($t, $chat, $stream =~ s/\}$/,"stream_options":{"$low":"$low","include_usage":null}}/r, $key);
is(header($r, 'X-Got'), sha256_hex($stream =~ s/\}$/,"stream_options":{"$low":"$low","include_usage":true}}/r),
	'asked for usage, in options with halves');
my ($v) = ask_for($t, "/vllm$chat", $stream, $key);
is(header($v, 'X-Got'), sha256_hex($stream
	=~ s/\{/{"stream_options":{"include_usage":true,"continuous_usage_stats":true},/r), 'asked for running usage');

# What is measured of a prompt with a half is what is measured of one with another character there.

my @estimates = map {
	my ($r, $line) = ask_for($t, $chat,
		qq({"model":"m","max_tokens":5,"messages":[{"content":"word ${_} word"}]}), $key, 'X-Answer: none');
	$line->{input_tokens} // 'none';
} $high, '\ufffd';
is($estimates[0], $estimates[1], "estimated alike: $estimates[1]");

for my $answer (@answers) {
	my ($name, $uri, undef, $body, $expected) = @$answer;
	for my $pieces (0, 1) {
		my ($r, $line) = ask_for($t, $uri, { model => 'm', messages => [], stream => JSON::PP::false }, $key,
			"X-Answer: $name", "X-Pieces: $pieces");
		my @numbers = $line->{usage} eq 'partial' ? $line->{output_tokens}
			: @$line{qw/input_tokens output_tokens/};
		is(join(' ', $line->{usage}, map { $_ // 'none' } @numbers), $expected, "charged: $name");
		ok((http_content($r) // '') eq $body, "untouched: $name");
	}
}

###############################################################################

# Answers a digest of what it got, and what X-Answer names, in pieces of so many bytes.
sub engine_daemon {
	my ($port, $served) = @_;

	my $server = IO::Socket::INET->new(
		Proto => 'tcp',
		LocalAddr => "127.0.0.1:$port",
		Listen => 5,
		ReuseAddr => 1
	)
		or die "Can't create listening socket: $!\n";
	$SIG{PIPE} = 'IGNORE';

	while (my $client = $server->accept()) {
		$client->autoflush(1);
		my %header;
		while (<$client>) {
			last if /^\r?\n?$/;
			$header{lc $1} = $2 if /^([\w-]+): (.*?)\r?$/;
		}
		# None from waitforsocket().
		next unless %header;
		read $client, my $request, $header{'content-length'} // 0;

		my $answer = $served->{$header{'x-answer'} // ''} // {};
		my $body = $answer->{body} // '{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}';
		$body = '' if ($header{'x-answer'} // '') eq 'none';
		my $size = $header{'x-pieces'} || length $body;
		print $client join "\r\n", 'HTTP/1.1 200 OK', 'Content-Type: ' . ($answer->{type} // 'application/json'),
			'X-Got: ' . sha256_hex($request), 'Transfer-Encoding: chunked', 'Connection: close', '', '';
		while (length $body) {
			my $piece = substr $body, 0, $size, '';
			printf $client "%x\r\n%s\r\n", length $piece, $piece;
		}
		print $client "0\r\n\r\n";
		close $client;
	}
}

###############################################################################
