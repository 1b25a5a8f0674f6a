#!/usr/bin/perl

# Answers that are not what they say, or say what they don't mean: what is charged for them, and what a
# client sees that did not ask for what we asked for.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header json keys_file status/;
use Tollgate::Client;
use Tollgate::Metered;

use IO::Socket::INET;
use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my ($true, $false) = (JSON::PP::true, JSON::PP::false);

# What the engine is told to answer: a name, how the answer is read, the type that it says, its body; and
# what is to be charged: how it is known, input and output. The input is estimated as 14 or so, and 50 are
# reserved for the output.
my $usage = '"usage":{"prompt_tokens":5,"completion_tokens":7}';
my $zero = '"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}';
my $chat = qq({"choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"}],$usage});
my $delta = qq(data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n);
my $sse = $delta . qq(data: {"choices":[],$usage}\n\ndata: [DONE]\n\n);
my $lines = qq({"message":{"content":"a"},"done":false}\n{"done":true,"prompt_eval_count":5,"eval_count":7}\n);
my $native = '{"content":"...","tokens_predicted":8,"tokens_evaluated":5}';
my @answers = (
	['events as JSON', '/v1/chat/completions', 'application/json', $sse, 'measured 5 7'],
	['events without a type', '/v1/chat/completions', '', $sse, 'measured 5 7'],
	['JSON as events', '/v1/chat/completions', 'text/event-stream', $chat, 'measured 5 7'],
	['JSON as text', '/v1/chat/completions', 'text/plain', $chat, 'measured 5 7'],
	['events as lines', '/v1/chat/completions', 'application/x-ndjson', $sse, 'measured 5 7'],
	['more behind it', '/v1/chat/completions', 'application/json', "$chat and more", 'measured 5 7'],
	['events behind it', '/v1/chat/completions', 'application/json',
		qq({"choices":[{"index":0,"message":{"content":"a"}}]}\n$sse), 'estimated 14 50'],
	['lines as JSON', '/api/chat', 'application/json', $lines, 'measured 5 7'],
	['an empty object', '/v1/chat/completions', 'application/json', '{}', 'estimated 14 50'],
	['an array', '/v1/chat/completions', 'application/json', "[$chat]", 'estimated 14 50'],
	['a page', '/v1/chat/completions', 'text/html', '<html>hello</html>', 'estimated 14 50'],
	['text as events', '/v1/chat/completions', 'text/event-stream', "data: hello\n\n", 'estimated 14 50'],
	['no form', '/v1/chat/completions', 'application/json', '{"answer":"hello"}', 'estimated 14 50'],
	['queued', '/v1/responses', 'application/json',
		'{"id":"resp_1","status":"queued","output":[],"usage":null,"error":null}', 'estimated 11 50'],
	['nothing', '/v1/chat/completions', 'application/json', '', 'none'],
	['no events', '/v1/chat/completions', 'text/event-stream', '', 'none'],
	['nothing of no type', '/v1/chat/completions', '', '', 'none'],
	['native', '/llamacpp/completion', 'application/json', $native, 'measured 5 8'],
	['native, another name', '/llamacpp/completions', 'application/json', $native, 'measured 5 8'],
	['native, streamed', '/llamacpp/completion', 'text/event-stream',
		qq(data: {"content":"a","stop":false,"tokens_predicted":1,"tokens_evaluated":5}\n\n)
		. qq(data: {"content":"","stop":true,"tokens_predicted":8,"tokens_evaluated":5}\n\n), 'measured 5 8'],
	['two of llama.cpp', '/llamacpp/v1/chat/completions', 'application/json',
		qq({"choices":[{"message":{"content":"a"},"finish_reason":"length"},)
		. qq({"message":{"content":"bcd"},"finish_reason":"length"}],$usage,"timings":{"prompt_n":5}}),
		'measured 5 14'],
	['generated tokens', '/vllm/inference/v1/generate', 'application/json',
		qq({"choices":[{"token_ids":[1,2,3]}],$usage}), 'measured 5 7'],
	['an error', '/v1/chat/completions', 'application/json', '{"error":{"message":"x"}}', 'none'],
	['an error of llama.cpp', '/llamacpp/v1/chat/completions', 'application/json',
		'{"error":{"code":500,"message":"Failed to parse messages"}}', 'none', undef, '500 Internal Server Error'],
	['an answer as an error', '/llamacpp/v1/chat/completions', 'application/json',
		'{"error":{"code":500,"message":"Failed to parse input at pos 2: ' . 'word ' x 20 . '"}}',
		'partial 14 33', undef, '500 Internal Server Error'],
	['an answer as an error event', '/llamacpp/v1/chat/completions', 'text/event-stream',
		'data: {"error":{"code":500,"message":"Failed to parse input at pos 2: ' . 'word ' x 20 . qq("}}\n\n),
		'partial 14 33'],
	['an error page', '/llamacpp/v1/chat/completions', 'text/html', '<html>error</html>', 'none', undef,
		'500 Internal Server Error'],
	['an error event', '/v1/chat/completions', 'text/event-stream',
		qq(data: {"error":{"message":"x"}}\n\ndata: [DONE]\n\n), 'none'],
	['an error event of Messages', '/v1/messages', 'text/event-stream',
		qq(data: {"type":"message_start","message":{"usage":{"input_tokens":9,"output_tokens":0}}}\n\n)
		. qq(data: {"type":"error","error":{"type":"x"}}\n\n), 'none'],
	['an error after text', '/v1/chat/completions', 'text/event-stream',
		qq($delta${delta}data: {"error":{"message":"x"}}\n\ndata: [DONE]\n\n), 'partial 14 2'],
	['a zero in the end', '/v1/messages', 'text/event-stream',
		qq(data: {"type":"message_start","message":{"usage":{"input_tokens":1500,"output_tokens":1}}}\n\n)
		. qq(data: {"type":"message_delta","usage":{"input_tokens":0,"output_tokens":9}}\n\n)
		. qq(data: {"type":"message_stop"}\n\n), 'measured 1500 9'],
	['zeros, and no more', '/v1/chat/completions', 'text/event-stream',
		qq(data: {"choices":[{"delta":{"content":"a"}}],$zero}\n\n) x 2 . "data: [DONE]\n\n", 'estimated 14 2'],
	['bytes', '/vllm/v1/embeddings', 'application/octet-stream', "\0\1\2\3", 'measured 5 0',
		'metadata: {"data":[],"usage":{"prompt_tokens":5,"total_tokens":5}}'],
	['bytes alone', '/vllm/v1/embeddings', 'application/octet-stream', "\0\1\2\3", 'estimated 10 0'],
);

# What an engine sends that was asked for usage, and what a client gets that did not ask.
my $chunk = sub { qq(data: {"id":1,"choices":[{"index":0,"delta":{"content":"a"}$_[0]}]$_[1]}\n\n) };
my $of_second = sub { $chunk->(@_) =~ s/"index":0/"index":1/r };
my $last = sub { qq(data: {"id":1,"choices":[]$_[0],$usage}\n\n) };
my ($timings, $fingerprint) = (',"timings":{"prompt_n":5}', ',"system_fingerprint":"v"');
my $done = "data: [DONE]\n\n";
my $finish = ',"finish_reason":"stop"';
my @hidden = (
	['vLLM, running usage', '/vllm',
		$chunk->('', ",$usage") . $chunk->($finish, ",$usage") . $last->($fingerprint) . $done,
		$chunk->('', '') . $chunk->($finish, $fingerprint) . $done],
	['vLLM, two choices', '/vllm', $of_second->($finish, '') . $chunk->('', '') . $chunk->($finish, '')
		. $last->($fingerprint) . $done,
		$chunk->('', '') . $of_second->($finish, $fingerprint) . $chunk->($finish, $fingerprint) . $done, 2],
	['llama.cpp, timings', '/llamacpp', $chunk->($finish, '') . $last->($timings) . $done,
		$chunk->($finish, $timings) . $done],
	['Ollama, zeros', '/ollama', $chunk->('', ",$zero") . $last->('') . $done, $chunk->('', '') . $done],
	['OpenAI, null', '', $chunk->('', ',"usage":null') . $last->('') . $done, $chunk->('', '') . $done],
	['choices missing', '', $chunk->('', '') . "data: {$usage}\n\n$done", $chunk->('', '') . $done],
	['choices null', '', $chunk->('', '') . qq(data: {"choices":null,$usage}\n\n$done), $chunk->('', '') . $done],
);
my %served = map { $_->[0] => { type => $_->[2], body => $_->[3], header => $_->[5],
	status => $_->[6] } } @answers;
$served{$_->[0]} = { type => 'text/event-stream', body => $_->[2] } for @hidden;

my $t = Test::Nginx->new()->has(qw/http proxy http_v2 cache/)->has_daemon('curl')
	->plan(2 * 2 * @answers + 8 * @hidden + 6);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;
    tollgate_tier  large { tokens 100m/h; }

    # So that nothing is learned of the input.
    tollgate_estimate   bytes_per_token=4;
    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    proxy_cache_path  %%TESTDIR%%/cache keys_zone=cache:1m;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
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

        location /llamacpp/ {
            proxy_buffering  off;
            tollgate_engine  llamacpp;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /ollama/ {
            tollgate_engine  ollama;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /cached/ {
            tollgate_engine      llamacpp;
            proxy_cache          cache;
            proxy_cache_key      $http_x_answer;
            proxy_cache_methods  POST;
            proxy_cache_valid    200 1h;
            proxy_pass           http://127.0.0.1:8081/;
        }
    }
}

EOC

$t->write_file('keys.json', keys_file({ key => 'key-large', client => 'acme', tier => 'large' }));
$t->run_daemon(\&engine_daemon, port(8081), \%served);
$t->run();
$t->waitforsocket('127.0.0.1:' . port(8081));

my @message = (model => 'm', messages => [ { role => 'user', content => 'one two three four' } ]);
my %body = (
	completions => { @message, max_tokens => 50 },
	chat => { @message, options => { num_predict => 50 } },
	messages => { @message, max_tokens => 50 },
	responses => { model => 'm', input => 'one two three four five six', max_output_tokens => 50 },
	embeddings => { model => 'm', input => 'one two three four five' },
	completion => { prompt => 'p', n_predict => 50 },
	generate => { model => 'm', token_ids => [1 .. 5], sampling_params => { max_tokens => 50 } },
);

###############################################################################

for my $answer (@answers) {
	my ($name, $uri, undef, $body, $expected) = @$answer;
	my ($kind) = $uri =~ m!([a-z]+)$!;
	my $asked = $uri =~ m!/llamacpp/completion! ? $body{completion} : $body{$kind};
	for my $pieces (0, 1) {
		my ($r, $line) = ask_for($t, $uri, $asked, 'X-API-Key: key-large', "X-Answer: $name",
			"X-Pieces: $pieces");
		my @numbers = map { $line->{$_} } $line->{usage} eq 'none' ? () : qw/input_tokens output_tokens/;
		is(join(' ', $line->{usage}, map { $_ // 'none' } @numbers), $expected, "charged: $name");
		ok((http_content($r) // '') eq $body, "untouched: $name");
	}
}

# What we asked for doesn't show, wherever the buffers end.

for my $case (@hidden) {
	my ($name, $place, $body, $shown, $n) = @$case;
	my @request = (@message, stream => $true, $n ? (n => $n) : ());
	for my $pieces (0, 1, 7) {
		my ($r, $line) = ask_for($t, "$place/v1/chat/completions", { @request },
			'X-API-Key: key-large', "X-Answer: $name", "X-Pieces: $pieces");
		is(http_content($r), $shown, "hidden: $name, pieces of $pieces");
		is("$line->{usage} $line->{output_tokens}", 'measured 7', "measured: $name, pieces of $pieces");
	}
	my $r = h2($t, "$place/v1/chat/completions", { @request },
		'X-API-Key: key-large', "X-Answer: $name", 'X-Pieces: 3');
	is(http_content($r) // $r, $shown, "hidden, HTTP/2: $name");
	my $asked = { @request,
		stream_options => { include_usage => $true, continuous_usage_stats => $true } };
	$r = ask(post("$place/v1/chat/completions", $asked, 'X-API-Key: key-large', "X-Answer: $name"));
	is(http_content($r), $body, "asked for: $name");
}

# An answer from a cache ends, whatever is held back to its end.

for my $times (1, 2) {
	my $r = ask(post('/cached/v1/chat/completions', { @message, stream => $true },
		'X-API-Key: key-large', 'X-Answer: llama.cpp, timings', 'X-Cut: 1'));
	is(http_content($r), $chunk->($finish, ''), "from a cache: all of it, $times");
	like($r, qr/\r\n0\r\n\r\n$/, "from a cache: it ends, $times") if $r =~ /chunked/i;
	pass('its length was known') unless $r =~ /chunked/i;
}

# The engine did nothing for it.

for my $expected ('measured 5 7', 'none') {
	my (undef, $line) = ask_for($t, '/cached/v1/chat/completions', $body{completions},
		'X-API-Key: key-large', 'X-Answer: JSON as text');
	is(join(' ', $line->{usage}, map { $_ // () } @$line{qw/input_tokens output_tokens/}), $expected,
		"charged, where it may come from a cache: $expected");
}

###############################################################################

# Serves the answer that X-Answer names, in pieces of so many bytes; with X-Cut, the first event alone.
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
		my $answer = $served->{$header{'x-answer'} // ''} or next;
		read $client, my $request, $header{'content-length'} // 0;

		my $body = $answer->{body};
		$body =~ s/(?<=\n\n).*//s if $header{'x-cut'};
		my $size = $header{'x-pieces'} || length $body;
		print $client join "\r\n", 'HTTP/1.1 ' . ($answer->{status} // '200 OK'),
			($answer->{type} ? "Content-Type: $answer->{type}" : ()), $answer->{header} // (),
			'Transfer-Encoding: chunked', 'Connection: close', '', '';
		while (length $body) {
			my $piece = substr $body, 0, $size, '';
			printf $client "%x\r\n%s\r\n", length $piece, $piece;
		}
		print $client "0\r\n\r\n";
		close $client;
	}
}

###############################################################################
