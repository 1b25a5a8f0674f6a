#!/usr/bin/perl

# Guards look at answers while they stream: what they find is masked, or the answer is cut off. Values that were kept
# from the model come back to their client.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/json keys_file status/;
use Tollgate::Client;
use Tollgate::Metered;

use IO::Socket::INET;
use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy cache http_v2/)->has_daemon('curl');

$t->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    proxy_cache_path  %%TESTDIR%%/cache keys_zone=kept:1m;

    tollgate_zone           zone=tollgate:1m;
    tollgate_owned_objects  zone=objects:1m;

    tollgate_guard mask   { output pii email card mask; }
    tollgate_guard block  { output pattern "falcon" name=bird block; }
    tollgate_guard log    { output pii email log; }
    tollgate_guard swap   { input pii email tokenize; }
    tollgate_guard both   { input pii email tokenize; output pii email mask; }
    tollgate_guard leak   { output leak block; }

    tollgate_tier  open { allow store; }

    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        tollgate         on;
        tollgate_engine  vllm;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /mask/ {
            tollgate_guards  mask;
            proxy_pass       http://127.0.0.1:8081/;

            location /mask/unbuffered/ {
                proxy_buffering  off;
                proxy_pass       http://127.0.0.1:8081/;
            }

            location /mask/dry/ {
                tollgate_dry_run  on;
                proxy_pass        http://127.0.0.1:8081/;
            }
        }

        location /block/ {
            tollgate_guards  block;
            proxy_pass       http://127.0.0.1:8081/;

            location /block/unbuffered/ {
                proxy_buffering  off;
                proxy_pass       http://127.0.0.1:8081/;
            }

            location /block/dry/ {
                tollgate_dry_run  on;
                proxy_pass        http://127.0.0.1:8081/;
            }

            location /block/cached/ {
                tollgate_cached_answers  free;
                proxy_cache              kept;
                proxy_cache_methods      POST;
                proxy_cache_key          $request_uri;
                proxy_cache_valid        200 1m;
                proxy_pass               http://127.0.0.1:8081/;
            }
        }

        location /log/ {
            tollgate_guards  log;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /swap/ {
            tollgate_guards  swap;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /both/ {
            tollgate_guards  both;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /leak/ {
            tollgate_guards  leak;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /block/gone/ {
            proxy_pass  http://127.0.0.1:8083;
            tollgate_guards  block;
        }

        location /block/page/ {
            tollgate_guards         block;
            proxy_intercept_errors  on;
            error_page              500 /page.html;
            proxy_pass              http://127.0.0.1:8081/;
        }

        location = /page.html {
        }

        location /anthropic/ {
            tollgate_engine  anthropic;
            tollgate_guards  mask block;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /ollama/ {
            tollgate_engine  ollama;
            tollgate_guards  mask block;
            proxy_pass       http://127.0.0.1:8081/;
        }
    }
}

EOF

$t->write_file('page.html', 'a page');
$t->write_file('keys.json', keys_file({ key => 'key-a', client => 'alice', tier => 'open' }));
my $engine = port(8081);
$t->run_daemon(\&engine, $engine, $t->testdir());
$t->waitforsocket("127.0.0.1:$engine") or die "The engine does not start\n";
$t->run()->plan(111);

my $chat = '/v1/chat/completions';
my @h = ('X-API-Key: key-a');
my $text = 'Write to jane.doe@example.com, or to joe@example.org; or not.';
my $masked = $text =~ s/\w+(\.\w+)?\@example\.\w+/[EMAIL]/gr;

###############################################################################

# masked, however it is cut

for my $cut (1, 2, 3, 7, 20, 1000) {
	for my $place ('/mask', '/mask/unbuffered') {
		my ($r, $line) = streamed("$place$chat", $text, $cut);
		is(said($r), $masked, "$place, in pieces of $cut");
		is_deeply([$line->{decision}, $line->{guard}, $line->{guard_action}], ['allow', { 'pii.email' => 2 }, 'mask'],
			"$place, in pieces of $cut: the log");
	}
}
is(said((streamed($chat, $text, 3))[0]), $text, 'without a guard');
my ($plain) = streamed($chat, 'nothing here to see', 4);
my ($seen) = streamed("/mask$chat", 'nothing here to see', 4);
is(said($seen), 'nothing here to see', 'nothing to mask');
($seen) = streamed("/block$chat", 'nothing here to see', 4);
is(http_content($seen), http_content($plain), 'nothing that could become a match: byte for byte');
my ($r, $line) = whole("/mask$chat", $text);
is(JSON::PP->new->decode(http_content($r))->{choices}[0]{message}{content}, $masked, 'not streamed');
is($line->{output_tokens}, 7, 'charged by what the engine says');
($r) = whole("/mask$chat", 'nothing');
is(http_content($r), http_content((whole($chat, 'nothing'))[0]), 'not streamed, nothing to mask: byte for byte');
($r, $line) = streamed("/log$chat", $text, 3);
is(said($r), $text, 'counted only');
is_deeply([$line->{guard}, $line->{guard_action}], [{ 'pii.email' => 2 }, 'log'], 'counted only: the log');
($r, $line) = streamed("/mask/dry$chat", $text, 3);
is(said($r), $text, 'dry run');
is_deeply($line->{guard}, { 'pii.email' => 2 }, 'dry run: the log');
my $h2 = h2($t, "/mask$chat", body($text, 1), @h, 'X-Cut: 5');
is(said($h2), $masked, 'HTTP/2');

# what no reader sees hides nothing, and stays where nothing is found

my $hiding = "Write to ja\x{200b}ne.doe\@exam\x{ad}ple.com, pay by 4111 1111\x{2060} 1111 1111.";
my $harmless = "Schiff\x{ad}fahrt, 4111 1111\x{2060} 1111 1112.";
for my $cut (1, 5, 1000) {
	is(said((streamed("/mask$chat", $hiding, $cut))[0]), 'Write to [EMAIL], pay by [CARD].', "hidden, in pieces of $cut");
	is(said((streamed("/mask$chat", $harmless, $cut))[0]), $harmless, "nothing hidden, in pieces of $cut");
}
($r) = whole("/mask$chat", $hiding);
is(JSON::PP->new->decode(http_content($r))->{choices}[0]{message}{content}, 'Write to [EMAIL], pay by [CARD].', 'hidden, not streamed');

# tools

($r) = streamed("/mask$chat", '{"to":"jane.doe@example.com","x":1}', 4, 'X-Tool: 1');
is(arguments($r), '{"to":"[EMAIL]","x":1}', 'arguments of a tool');

for my $of (
	['/ollama/api/chat', sub { '{"model":"m","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"pay",'
		. qq("arguments":{"n":$_[0],"tokens":[1,2],"many":[$_[0],{"$_[1]":7}]}}}]},"done":true,"prompt_eval_count":5,"eval_count":7}) }],
	["/mask$chat", sub { '{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"x","parsed":'
		. qq({"id":$_[0],"type":"$_[1]","list":[{"status":"$_[1]"}]}}}],"usage":{"prompt_tokens":5,"completion_tokens":7}}) }],
	['/anthropic/v1/messages', sub { '{"id":"x","type":"message","role":"assistant","model":"m","content":[{"type":"tool_use","id":"t",'
		. qq("name":"pay","input":{"n":$_[0],"tokens":[1,2],"many":[$_[0],{"$_[1]":7}]}}],"usage":{"input_tokens":5,"output_tokens":7}}) }],
)
{
	my ($uri, $body) = @$of;
	($r) = whole($uri, $body->('4111111111111111', 'jane.doe@example.com'), 'X-Raw: 1');
	is(http_content($r), $body->('"[CARD]"', '[EMAIL]'), "JSON that is no string, $uri");
	($r) = whole($uri, $body->('4111111111111112', 'jane.doe'), 'X-Raw: 1');
	is(http_content($r), $body->('4111111111111112', 'jane.doe'), "JSON that is no string, and nothing in it, $uri");
}

# other dialects

($r) = streamed('/anthropic/v1/messages', $text, 6);
is(join('', $r =~ /"type":"text_delta","text":"((?:[^"\\]|\\.)*)"/g), $masked, 'anthropic');
($r) = streamed('/ollama/api/chat', $text, 6);
is(join('', map { JSON::PP->new->decode($_)->{message}{content} } grep { /^\{/ } split /\n/, http_content($r)), $masked, 'ollama');

###############################################################################

# blocked

my $bad = 'One two three: the falcon flies at night';
for my $place ('/block', '/block/unbuffered') {
	($r, $line) = streamed("$place$chat", $bad, 4, 'X-Endless: 1');
	is(said($r), 'One two three: the ', "$place: what came before it");
	like(http_content($r), qr/data: \{"error":\{.*"code":"content_policy".*\}\}\n\n(?:data: \[DONE\]\n\n)?$/s, "$place: the error");
	unlike(http_content($r), qr/falcon|flies/, "$place: nothing from there on");
	is("$line->{decision} $line->{reason} $line->{detail} $line->{guard_action}", 'allow content_policy guard_blocked pattern.bird block',
		"$place: the log");
	is_deeply($line->{guard}, { 'pattern.bird' => 1 }, "$place: what was found");
	ok(left(), "$place: the engine is left");
}
($r, $line) = whole("/block$chat", $bad);
is(status($r), 403, 'not streamed');
is(JSON::PP->new->decode(http_content($r))->{error}{code}, 'content_policy', 'not streamed: the error');
is("$line->{decision} $line->{status} $line->{reason} $line->{detail}", 'allow 403 content_policy guard_blocked pattern.bird',
	'not streamed: the log');
is($line->{output_tokens}, 7, 'not streamed: the engine made it, so it is charged');
($r) = whole("/block$chat", 'a hawk');
is(status($r) . ' ' . JSON::PP->new->decode(http_content($r))->{choices}[0]{message}{content}, '200 a hawk', 'let through');
($r, $line) = streamed("/block/dry$chat", $bad, 4);
is(said($r), $bad, 'dry run');
is_deeply($line->{guard}, { 'pattern.bird' => 1 }, 'dry run: the log');
for (1, 2) {
	($r) = streamed("/block/cached$chat?$_", $bad, 4);
	unlike(http_content($r), qr/flies/, 'blocked, where answers are kept');
	($r) = streamed("/block/cached$chat?$_", 'harmless', 4);
	is(said($r), 'harmless', 'and what was cut off was not kept');
}
($r) = streamed('/anthropic/v1/messages', $bad, 6);
like(http_content($r), qr/event: error\ndata: \{"type":"error"/, 'anthropic: the error');
unlike(http_content($r), qr/flies/, 'anthropic: nothing from there on');
($r) = streamed('/ollama/api/chat', $bad, 6);
like(http_content($r), qr/\{"error":"[^"]*"\}\n$/, 'ollama: the error');
unlike(http_content($r), qr/flies/, 'ollama: nothing from there on');

# errors

($r, $line) = whole("/block/gone$chat", 'x');
is(status($r) . ' ' . ($line->{reason} // ''), '502 ', "nginx's own page");
($r, $line) = whole("/block$chat", 'x', 'X-Status: 500', 'X-Type: text/plain');
is(status($r) . ' ' . JSON::PP->new->decode(http_content($r))->{choices}[0]{message}{content}, '500 x', "an error of the engine's");
($r, $line) = whole("/block$chat", $bad, 'X-Status: 500');
is(status($r) . " $line->{reason}", '500 content_policy', 'an error that tells what is blocked stays an error');
unlike(http_content($r), qr/falcon/, 'and tells nothing of it');
($r) = whole("/block/page$chat", $bad, 'X-Status: 500');
is(status($r) . ' ' . http_content($r), '500 a page', 'a page of the operator for that');

# what can't be read

for my $lines (['X-Encoding: gzip'], ['X-Type: audio/mpeg']) {
	($r, $line) = whole("/block$chat", 'x', @$lines);
	is(status($r) . ' ' . ($line->{detail} // ''), '403 unseen_answer', "can't be read: @$lines");
	($r) = whole("/log$chat", 'x', @$lines);
	is(status($r), 200, "can't be read, and only counted: @$lines");
}

###############################################################################

# kept from the model, and given back

for my $cut (1, 4, 9, 1000) {
	my $id = new_id();
	($r, $line) = streamed("/swap$chat", $text, $cut, "X-Request-ID: $id");
	is(got($id), 'Write to <EMAIL_1>, or to <EMAIL_2>; or not.', "swapped: the model, $cut");
	is(said($r), $text, "swapped: the client, in pieces of $cut");
}
is_deeply([$line->{guard}, $line->{guard_action}], [{ 'pii.email' => 2 }, 'tokenize'], 'swapped: the log');
($r) = whole("/swap$chat", $text);
is(JSON::PP->new->decode(http_content($r))->{choices}[0]{message}{content}, $text, 'swapped, not streamed');
($r) = streamed("/swap$chat", 'jane.doe@example.com and jane.doe@example.com', 3);
is(said($r), 'jane.doe@example.com and jane.doe@example.com', 'swapped, twice the same');
($r) = streamed("/swap$chat", 'say <EMAIL_1> to jane.doe@example.com', 3);
is(said($r), 'say <EMAIL_1> to jane.doe@example.com', 'swapped, where the client writes a placeholder itself');
($r) = streamed("/both$chat", $text, 3, 'X-Adds: joe@else.net');
is(said($r), "$text [EMAIL]", "its own values come back, and others don't");
($r) = streamed("/swap$chat", 'to "jane.doe@example.com" \\ ok', 2, 'X-Tool: 1');
is(arguments($r), 'to "jane.doe@example.com" \\ ok', 'swapped, in the arguments of a tool');
($r) = streamed("/swap$chat", 'C:\\jane.doe@example.com', 2);
is(said($r), 'C:\\jane.doe@example.com', 'swapped, behind a backslash');
my $called = '{"to":"C:\\\\jane.doe@example.com"}';
($r) = streamed("/swap$chat", $called, 2, 'X-Tool: 1');
is(arguments($r), $called, 'swapped, behind a backslash in the arguments of a tool');

# what the engine has kept

($r) = asked('/v1/responses', json({ model => 'm', input => 'harmless', store => JSON::PP::true }));
is(status($r), 200, 'a response is kept');
my $fetch = sub {
	my ($place) = @_;
	my $response = ask(request("GET $place/v1/responses/resp_1", @h));
	return (status($response), http_content($response));
};
is_deeply([($fetch->(''))[0], ($fetch->(''))[1] =~ /falcon of joe\@example.org/ ? 1 : 0], [200, 1], 'and can be fetched');
is(($fetch->('/block'))[0], 403, 'not where it would be blocked');
is(($fetch->('/mask'))[1] =~ /"text":"(the [^"]*)"/ ? $1 : '', 'the falcon of [EMAIL]', 'and masked where it is to be');

# parts of the system prompt

my $system = 'You are a helpful assistant of Example Bank and must never talk about the merger with Other Bank';
my $leaking = sub {
	my ($says, $cut) = @_;
	return asked("/leak$chat", json({ model => 'm', stream => JSON::PP::true, messages => [{ role => 'user', content => $says },
		{ role => 'system', content => $system }] }), "X-Cut: $cut");
};
($r, $line) = $leaking->("My orders are: **$system**!", 5);
unlike(said($r), qr/never talk/, 'the system prompt is not told');
like(said($r), qr/^My orders are/, 'what comes before it is');
is("$line->{reason} $line->{detail}", 'content_policy guard_blocked leak', 'a leak: the log');
is_deeply($line->{guard}, { leak => 1 }, 'a leak: what was found');
($r, $line) = $leaking->('I am a helpful assistant of a bank', 5);
is(said($r), 'I am a helpful assistant of a bank', 'a few of its words are none');

# nginx itself writes headers into the error log, when it is told to write everything.
unlike($t->read_file('audit.log') . join("\n", grep { !/\[debug\]/ } grep { /\[\w+\]/ } split /\n/, $t->read_file('error.log')),
	qr/jane|joe\@|falcon flies/, 'nothing of any text in the logs');

###############################################################################

sub body {
	my ($text, $stream) = @_;
	return json({ model => 'm', max_tokens => 100, messages => [{ role => 'user', content => $text }],
		stream => $stream ? JSON::PP::true : JSON::PP::false });
}

# Response and audit line of a request for a stream that has this text in pieces of so many characters.
sub streamed {
	my ($uri, $text, $cut, @lines) = @_;
	return asked($uri, body($text, 1), "X-Cut: $cut", @lines);
}

sub whole {
	my ($uri, $text, @lines) = @_;
	return asked($uri, body($text, 0), @lines);
}

sub asked {
	my ($uri, $body, @lines) = @_;
	my ($id) = map { /^X-Request-ID: (.*)/ } @lines;
	push @lines, 'X-Request-ID: ' . ($id = new_id()) unless $id;
	my $response = ask(post($uri, $body, @h, @lines));
	my ($line) = audited($t, $id);
	return ($response, $line);
}

# The text of a stream of chat completions.
sub said {
	my ($response) = @_;
	my @events = map { /^data: (\{.*)/ ? JSON::PP->new->utf8->decode($1) : () } split /\n/, http_content($response) // '';
	return join '', map { $_->{choices} && @{$_->{choices}} ? $_->{choices}[0]{delta}{content} // '' : () } @events;
}

sub arguments {
	my ($response) = @_;
	my @events = map { /^data: (\{.*)/ ? JSON::PP->new->utf8->decode($1) : () } split /\n/, http_content($response) // '';
	return join '', map { map { $_->{function}{arguments} // '' } @{($_->{choices}[0]{delta} // {})->{tool_calls} // []} }
		grep { @{$_->{choices} // []} } @events;
}

# Whether the engine has been left in the middle of an answer since the last time.
sub left {
	my $file = $t->testdir() . '/left';
	my $is_there = poll { -e $file };
	unlink $file;
	return $is_there;
}

# What the user said in the request with this id, as the engine got it.
sub got {
	my ($id) = @_;
	return JSON::PP->new->decode($t->read_file("got-$id"))->{messages}[0]{content};
}

###############################################################################

# An engine that says what it was told, in pieces of X-Cut characters.
sub engine {
	my ($port, $dir) = @_;
	my $server = IO::Socket::INET->new(Proto => 'tcp', LocalAddr => "127.0.0.1:$port", Listen => 16, ReuseAddr => 1)
		or die "Can't create listening socket: $!\n";
	local $SIG{PIPE} = 'IGNORE';
	while (my $client = $server->accept()) {
		my ($head, $body) = ('', '');
		while (<$client>) {
			last if /^\x0d?\x0a?$/;
			$head .= $_;
		}
		my ($length) = $head =~ /^Content-Length: (\d+)/mi;
		read $client, $body, $length if $length;
		my %of = map { /^X-(\w+): ([^\x0d\x0a]*)/i ? (lc $1 => $2) : () } split /\n/, $head;
		if (my ($id) = $head =~ /^X-Request-ID: ([\w-]+)/mi) {
			open my $file, '>', "$dir/got-$id" or die "Can't write: $!\n";
			print $file $body;
			close $file;
		}
		my $asked = eval { JSON::PP->new->utf8->decode($body) } // {};
		my $text = $asked->{messages}[0]{content} // '';
		$text .= " $of{adds}" if $of{adds};
		my ($uri) = $head =~ m!^\w+ (/\S*)!;
		$client->autoflush(1);
		my $kept = json({ id => 'resp_1', object => 'response', status => 'completed', model => 'm',
			output => [{ type => 'message', id => 'msg_1', role => 'assistant', content => [{ type => 'output_text',
				text => $head =~ /^GET/ ? 'the falcon of joe@example.org' : 'harmless' }] }],
			usage => { input_tokens => 5, output_tokens => 7, total_tokens => 12 } });
		if (($uri // '') =~ /responses/) {
			print $client "HTTP/1.1 200 OK\x0d\x0aContent-Type: application/json\x0d\x0aConnection: close\x0d\x0a"
				. 'Content-Length: ' . length($kept) . "\x0d\x0a\x0d\x0a$kept";
			close $client;
			next;
		}
		my $ok = $asked->{stream} ? stream($client, $uri, $text, \%of) : print $client document($uri, $text, \%of);
		if (!$ok) {
			open my $file, '>', "$dir/left" or die "Can't write: $!\n";
			close $file;
		}
		close $client;
	}
}

sub document {
	my ($uri, $text, $of) = @_;
	my $content = json({ id => 'c', object => 'chat.completion', model => 'm',
		choices => [{ index => 0, finish_reason => 'stop', message => { role => 'assistant', content => $text } }],
		usage => { prompt_tokens => 5, completion_tokens => 7, total_tokens => 12 } });
	$content = $text if $of->{raw};
	my $lines = $of->{encoding} ? "Content-Encoding: $of->{encoding}\x0d\x0a" : '';
	return 'HTTP/1.1 ' . ($of->{status} // '200') . " It\x0d\x0aContent-Type: " . ($of->{type} // 'application/json') . "\x0d\x0a${lines}Connection: close\x0d\x0a"
		. 'Content-Length: ' . length($content) . "\x0d\x0a\x0d\x0a" . $content;
}

# True, if all of it could be sent.
sub stream {
	my ($client, $uri, $text, $of) = @_;
	my $kind = $uri =~ /ollama|api/ ? 'application/x-ndjson' : 'text/event-stream';
	my @pieces = unpack '(a' . ($of->{cut} // 1000) . ')*', $text;
	my @events;
	if ($uri =~ /messages$/) {
		my $event = sub { "event: $_[0]\ndata: " . json({ type => $_[0], %{$_[1]} }) . "\n\n" };
		@events = ($event->('message_start', { message => { id => 'm', type => 'message', role => 'assistant', content => [], model => 'm',
			usage => { input_tokens => 5, output_tokens => 1 } } }),
			$event->('content_block_start', { index => 0, content_block => { type => 'text', text => '' } }),
			(map { qq(event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":)
				. JSON::PP->new->allow_nonref->encode($_) . "}}\n\n" } @pieces),
			$event->('content_block_stop', { index => 0 }),
			$event->('message_delta', { delta => { stop_reason => 'end_turn' }, usage => { output_tokens => 7 } }),
			$event->('message_stop', {}));
	} elsif ($uri =~ /api/) {
		@events = ((map { json({ model => 'm', message => { role => 'assistant', content => $_ }, done => JSON::PP::false }) . "\n" } @pieces),
			json({ model => 'm', message => { role => 'assistant', content => '' }, done => JSON::PP::true,
				prompt_eval_count => 5, eval_count => 7 }) . "\n");
	} else {
		my $chunk = sub { 'data: ' . json({ id => 'c', object => 'chat.completion.chunk', model => 'm', @_ }) . "\n\n" };
		my $delta = sub {
			my ($piece) = @_;
			return { content => $piece } unless $of->{tool};
			return { tool_calls => [{ index => 0, function => { arguments => $piece } }] };
		};
		@events = ((map { $chunk->(choices => [{ index => 0, delta => $delta->($_), finish_reason => undef }]) } @pieces),
			$chunk->(choices => [{ index => 0, delta => {}, finish_reason => 'stop' }]),
			$chunk->(choices => [], usage => { prompt_tokens => 5, completion_tokens => 7, total_tokens => 12 }),
			"data: [DONE]\n\n");
		splice @events, -3, 0, ($chunk->(choices => [{ index => 0, delta => $delta->(' on and on'), finish_reason => undef }])) x 1000
			if $of->{endless};
	}
	print $client "HTTP/1.1 200 OK\x0d\x0aContent-Type: $kind\x0d\x0aConnection: close\x0d\x0a\x0d\x0a" or return 0;
	for (@events) {
		print $client $_ or return 0;
		# So that it notices that nobody listens.
		select undef, undef, undef, 0.002 if $of->{endless};
	}
	return 1;
}

###############################################################################
