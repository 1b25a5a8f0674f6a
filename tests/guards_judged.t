#!/usr/bin/perl

# classifier ... output: a model behind an internal location judges what an engine answers, while it streams. What it has
# not judged waits, and what it refuses is not shown.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get json keys_file status/;
use Tollgate::Client;
use Tollgate::Metered;
use Tollgate::Provider;

use IO::Socket::INET;
use Socket qw/SOL_SOCKET SO_RCVBUF/;
use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy cache rewrite http_v2/)->has_daemon('curl');

my %guards = (
	judged => 'window=256',
	wide => 'format=classify name=wide window=1k',
	llama => 'format=llama-guard model=guard window=256 name=llama',
	few => 'window=256 windows=4 on_failure=allow',
	counts => 'log name=toxicity window=256',
	dead => 'timeout=30s',
	open => 'timeout=30s on_failure=allow',
	garbage => 'timeout=30s',
	undecided => 'on_failure=allow',
	late => 'timeout=50ms window=256',
	waits => 'timeout=30s window=256',
	slow => 'timeout=10s window=64k',
	masks => 'window=256',
	both => 'window=256',
	nowhere => '',
	loop => '',
);
my %more = (masks => 'output pii email mask;', both => '');
my $declared = join "\n    ", map {
	my $sides = $_ eq 'both' ? 'input output' : 'output';
	my $timeout = $guards{$_} =~ /timeout/ ? '' : 'timeout=30s';
	"tollgate_guard $_ { classifier /_$_ $sides $guards{$_} $timeout; " . ($more{$_} // '') . ' }';
} sort keys %guards;
my $locations = join "\n        ", map {
	my $of = $_;
	map({ my ($place, $buffering) = @$_;
		"location /$of$place/ { tollgate_guards $of; proxy_buffering $buffering; proxy_pass http://127.0.0.1:8081/; }" }
		['', 'on'], ['/unbuffered', 'off']),
	$of =~ /nowhere|loop/ ? () : "location = /_$of { internal; proxy_pass http://127.0.0.1:8090/$of; }"
} sort keys %guards;

my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    proxy_cache_path  %%TESTDIR%%/cache keys_zone=kept:1m;

    tollgate_zone  zone=tollgate:4m;

    %%DECLARED%%

    tollgate_tier  open { }
    tollgate_tier  single { concurrency 1; }

    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        tollgate         on;
        tollgate_engine  vllm;

        proxy_buffer_size  4k;
        proxy_buffers      4 4k;
        client_max_body_size     20m;
        tollgate_max_body        20m;

        %%LOCATIONS%%

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /pair/ {
            tollgate_guards  judged wide;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /dry/ {
            tollgate_guards   judged;
            tollgate_dry_run  on;
            proxy_pass        http://127.0.0.1:8081/;
        }

        location /anthropic/ {
            tollgate_engine  anthropic;
            tollgate_guards  judged;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /ollama/ {
            tollgate_engine  ollama;
            tollgate_guards  judged;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /cached/ {
            tollgate_guards          judged;
            tollgate_cached_answers  free;
            proxy_cache              kept;
            proxy_cache_methods      POST;
            proxy_cache_key          $request_uri;
            proxy_cache_valid        200 1m;
            proxy_pass               http://127.0.0.1:8081/;
        }

        location = /_nowhere {
            internal;
            proxy_pass  http://127.0.0.1:8089;
        }

        location = /_loop {
            internal;
            proxy_pass  http://127.0.0.1:8080/loop/v1/chat/completions;
        }

        location = /metrics {
            tollgate         off;
            tollgate_metrics;
            allow            127.0.0.1;
            deny             all;
        }
    }
}

EOC

$conf =~ s/%%DECLARED%%/$declared/;
$conf =~ s/%%LOCATIONS%%/$locations/;
$t->write_file_expand('nginx.conf', $conf);
$t->write_file('keys.json', keys_file(
	map({ { key => "key-$_", client => $_, tier => 'open' } } qw/alice bob/),
	{ key => 'key-single', client => 'single', tier => 'single' },
));

start_provider($t, 8090);
answers($_, judges => 'moderation') for qw/judged few counts late waits slow masks both/;
answers('wide', judges => 'classify');
answers('llama', judges => 'llama-guard');
answers($_, status => 500) for qw/dead open/;
answers('garbage', body => '<!DOCTYPE html>', type => 'text/html');
answers('undecided', status => 400);

my $engine = port(8081);
$t->run_daemon(\&engine, $engine, $t->testdir());
$t->waitforsocket("127.0.0.1:$engine") or die "The engine does not start\n";
$t->run()->plan(119);

my $chat = '/v1/chat/completions';
my $nonce = 0;

# So many characters that nobody has said before; with "attack" behind the first $at of them.
sub text {
	my ($length, $at) = @_;
	my $text = '';
	$text .= 'word ' . ++$nonce . ' ' while length $text < $length;
	$text = substr($text, 0, $length - 1) . '.';
	substr $text, $at, 6, 'attack' if defined $at;
	return $text;
}

###############################################################################

# streams, however they are cut

for my $cut (1, 7, 50, 1000) {
	for my $place ('/judged', '/judged/unbuffered') {
		my $good = text(700);
		my ($r, $line) = streamed($t, "$place$chat", $good, $cut);
		is(said($r), $good, "$place, in pieces of $cut: let through");
		like(http_content($r), qr/data: \[DONE\]\n\n$/, "$place, in pieces of $cut: to its end");

		my $bad = text(1000, 500);
		($r, $line) = streamed($t, "$place$chat", $bad, $cut, 'X-Endless: 1');
		my $shown = said($r);
		ok(index($bad, $shown) == 0 && length $shown <= 384, "$place, in pieces of $cut: what was judged before")
			or diag("shown: " . length $shown);
		like(http_content($r), qr/data: \{"error":\{.*"code":"content_policy".*\}\}\n\n(?:data: \[DONE\]\n\n)?$/s,
			"$place, in pieces of $cut: the error");
		is("$line->{decision} $line->{reason} $line->{detail} " . json($line->{guard}),
			'allow content_policy guard_blocked classifier {"classifier":1}', "$place, in pieces of $cut: the log");
		ok(left($t), "$place, in pieces of $cut: the engine is left");
	}
}
my $long = text(3000);
is(said((streamed($t, "/judged$chat", $long, 20))[0]), $long, 'a longer one');
my @windows = map { my $input = $_->{input}; ref $input ? @$input : $input } questions('judged');
is(scalar(grep { length > 256 } @windows), 0, 'no window is longer than it may be');
my $cuts = sub { my ($cut) = @_; my $from = asked('judged');
	streamed($t, "/judged$chat", $long, $cut, 'X-API-Key: key-bob');
	return json([sort map { my $input = $_->{input}; ref $input ? @$input : $input } (questions('judged'))[$from .. asked('judged') - 1]]) };
my $count = asked('judged');
streamed($t, "/judged$chat", $long, 3);
is(scalar asked('judged'), $count, 'cut another way, it is the same windows, which were judged before');

# one document

my ($r, $line) = whole($t, "/judged$chat", text(500));
is(status($r), 200, 'not streamed: let through');
like($r, qr/^Content-Length: \d+/mi, 'and its length is told');
($r, $line) = whole($t, "/judged$chat", text(5000, 4000));
is(status($r) . ' ' . JSON::PP->new->decode(http_content($r))->{error}{code}, '403 content_policy', 'not streamed: refused');
unlike(http_content($r), qr/word|attack/, 'and nothing of it is told');
is("$line->{status} $line->{reason} $line->{detail} $line->{output_tokens}", '403 content_policy guard_blocked classifier 7',
	'not streamed: the log, and the charge');
is((whole($t, "/judged$chat", ''))[1]{status}, 200, 'an empty answer');

# other dialects

for my $of (['/anthropic/v1/messages', qr/event: error\ndata: \{"type":"error".*"permission_error"/,
		sub { join '', $_[0] =~ /"type":"text_delta","text":"((?:[^"\\]|\\.)*)"/g }],
		['/ollama/api/chat', qr/\{"error":"[^"]*"\}\n$/, sub { join '', map { JSON::PP->new->decode($_)->{message}{content} // '' }
			grep { /^\{/ } split /\n/, http_content($_[0]) }]) {
	my ($uri, $error, $said) = @$of;
	my $good = text(600);
	($r) = streamed($t, $uri, $good, 6);
	is($said->($r), $good, "$uri: let through");
	($r) = streamed($t, $uri, my $bad = text(900, 700), 6);
	like(http_content($r), $error, "$uri: the error");
	my $shown = $said->($r);
	ok(index($bad, $shown) == 0 && length $shown <= 576 && $shown !~ /attack/, "$uri: what was judged before");
}

# several judges

my $text = text(900, 850);
($r, $line) = streamed($t, "/pair$chat", $text, 10);
like($line->{detail}, qr/^guard_blocked classifier/, 'of two, one refuses it');
$text = text(900);
is(said((streamed($t, "/pair$chat", $text, 10))[0]), $text, 'and two let it through');
($r, $line) = streamed($t, "/llama$chat", text(400, 300), 10);
is($line->{detail}, 'guard_blocked classifier.llama', 'Llama Guard');
is_deeply([map { $_->{role} } @{(questions('llama'))[-1]{messages}}], [qw/user assistant/], 'which judges what a model has said');
($r, $line) = streamed($t, "/both$chat", text(400, 300), 10);
is("$line->{decision} $line->{status}", 'deny 403', 'of requests and answers: the request');
($r, $line) = streamed($t, "/both$chat", $text = text(400), 10, 'X-Adds: attack');
is("$line->{decision} $line->{detail}", 'allow guard_blocked classifier', 'of requests and answers: the answer');

# beside rules

$text = text(300) . ' by jane@example.com and more of it';
($r, $line) = streamed($t, "/masks$chat", $text, 4);
is(said($r), $text =~ s/jane\@example.com/[EMAIL]/r, 'masked, and judged');

# counted only, and in a dry run

for my $of (['/counts', 'classifier.toxicity'], ['/dry', 'classifier']) {
	my ($place, $name) = @$of;
	$text = text(700, 300);
	($r, $line) = streamed($t, "$place$chat", $text, 10);
	is(said($r) . json($line->{guard}), qq($text\{"$name":1}), "$place: passes, and is counted");
	($r, $line) = whole($t, "$place$chat", $text = text(700, 300));
	is(status($r) . json($line->{guard}), qq(200{"$name":1}), "$place: not streamed");
}

# from the cache

for (1, 2) {
	($r) = streamed($t, "/cached$chat?good", $text = $_ == 1 ? text(15_000) : $text, 6);
	is(said($r), $text, "kept: let through, $_");
}
for (1, 2) {
	($r, $line) = streamed($t, "/cached$chat?bad", text(600, 20), 60);
	is(said($r) . ' ' . ($line->{reason} // ''), ' content_policy', "kept: refused, $_");
}

# more than it is asked about

($r, $line) = streamed($t, "/few$chat", $text = text(2000), 20);
is("$line->{reason} $line->{detail}", 'content_policy too_long_to_judge /_few', 'too long');
($r, $line) = whole($t, "/few$chat", $text);
is(status($r) . " $line->{detail}", '403 too_long_to_judge /_few', 'too long, and not streamed');

###############################################################################

# no verdict

for my $of (['dead', 'classifier_unavailable not_judged', 503], ['garbage', 'classifier_unavailable not_judged', 503],
		['nowhere', 'classifier_unavailable not_judged', 503], ['undecided', 'content_policy undecided', 403],
		['loop', 'classifier_unavailable not_judged', 503]) {
	my ($name, $expected, $status) = @$of;
	$text = text(400);
	($r, $line) = streamed($t, "/$name$chat", $text, 20);
	is(said($r) . "$line->{reason} $line->{detail}", "$expected /_$name", "$name: nothing is shown");
	like(http_content($r), $status == 503 ? qr/"code":"service_unavailable"/ : qr/"code":"content_policy"/, "$name: the error");
	($r, $line) = whole($t, "/$name$chat", $text);
	is(status($r) . " $line->{detail}", "$status " . (split ' ', $expected)[1] . " /_$name", "$name: not streamed");
}
($r, $line) = streamed($t, "/open$chat", $text = text(400), 20);
is(said($r) . ($line->{guard_unjudged} ? ' unjudged' : ''), "$text unjudged", 'let through without a verdict');

answers('late', hold => 1);
($r, $line) = streamed($t, "/late$chat", text(400), 20, 'X-Endless: 1');
is(said($r) . $line->{detail}, 'not_judged_in_time /_late', 'too late');
ok(left($t), 'and the engine is left');
answers('late', judges => 'moderation');

my @told = grep { m!"/_dead" \(classifier of tollgate_guard dead\)! } split /\n/, $t->read_file('error.log');
is(scalar @told, 1, 'it was told once');
like($told[0], qr/\[error\].*status 500; until it answers, answers are cut off/, 'and what comes of it');

###############################################################################

# while it is waited for

answers('waits', hold => 1);
my $waiting = connection();
my $h2 = text(500);
$waiting->send(post("/waits/unbuffered$chat", body(my $first = text(500), 1), 'X-API-Key: key-single', 'X-Cut: 10'));
my $whole = connection();
$whole->send(post("/waits$chat", body(my $second = text(500), 0), 'X-API-Key: key-alice'));
my $gone = connection();
$gone->send(post("/waits$chat", body(text(500), 1), 'X-API-Key: key-bob', 'X-Cut: 10'));
my $flood = connection();
$flood->send(post("/waits/unbuffered$chat", body(text(10), 1), 'X-API-Key: key-bob', 'X-Flood: 500000'));
asked_soon('waits', 4);
$gone->close();
is((streamed($t, $chat, 'calm', 10, 'X-API-Key: key-single'))[1]{status}, 200, 'its slot is free when the engine is done');
reload_and_wait($t);
answers('waits', judges => 'moderation');
is(said($waiting->answer()), $first, 'it goes on, after a reload');
is(JSON::PP->new->decode(http_content($whole->answer()))->{choices}[0]{message}{content}, $second, 'not streamed: too');
my $flooded = $flood->answer();
cmp_ok(length said($flooded), '>', 500_000 / 200, 'one that came faster than it was judged');
like(http_content($flooded), qr/data: \[DONE\]\n\n$/, 'to its end');

# A client that reads nothing until no more is asked about: the engine is read no further meanwhile, and nothing is lost.

for my $place ('', '/unbuffered') {
	my $slow = connection();
	setsockopt $slow->{socket}, SOL_SOCKET, SO_RCVBUF, 16 * 1024;
	my $before = times_asked('slow');
	$slow->send(post("/slow$place$chat", body(my $start = text(10), 1), 'X-API-Key: key-alice', 'X-Flood: 3000000'));
	my ($count, $asked) = (-1, 0);
	poll {
		($count, $asked) = ($asked, times_asked('slow'));
		$asked > $before && $asked == $count;
	};
	setsockopt $slow->{socket}, SOL_SOCKET, SO_RCVBUF, 1 << 20;
	my $answer = $slow->answer();
	like(http_content($answer), qr/data: \[DONE\]\n\n$/, "a client that reads late$place: to its end");
	my $said = said($answer);
	is(length($said), length($start) + 20 * int(3_000_000 / length chunk_of(flood(0))), "a client that reads late$place: all of it");
	cmp_ok($asked, '<', times_asked('slow'), "a client that reads late$place: the engine waited for it");
}

my $good = text(700);
is(said(h2($t, "/judged$chat", body($good, 1), 'X-API-Key: key-alice', 'X-Cut: 5')), $good, 'HTTP/2: let through');
my $refused = h2($t, "/judged$chat", body(text(700, 300), 1), 'X-API-Key: key-alice', 'X-Cut: 5');
ok($refused =~ /content_policy/ && said($refused) !~ /attack/, 'HTTP/2: refused');
like(h2($t, "/judged$chat", body(text(700, 300), 0), 'X-API-Key: key-alice'), qr/^HTTP\/2 403/, 'HTTP/2: not streamed');

###############################################################################

# what can't be read, and what has nothing to be judged

($r, $line) = whole($t, "/judged$chat", 'x', 'X-Encoding: gzip');
is(status($r) . " $line->{detail}", '403 unseen_answer', 'compressed');
($r, $line) = whole($t, "/judged$chat", 'a calm failure', 'X-Status: 500');
is(status($r), 500, "an error of the engine's");

my $metrics = http_content(get('/metrics'));
like($metrics, qr/^tollgate_guard_total\{guard="judged",rule="classifier",action="block"\} [1-9]/m, 'metrics: refused');
like($metrics, qr/^tollgate_guard_total\{guard="counts",rule="classifier.toxicity",action="log"\} 2$/m, 'metrics: counted');
unlike($t->read_file('audit.log') . join("\n", grep { !/\[debug\]/ } grep { /\[\w+\]/ } split /\n/, $t->read_file('error.log')) . $metrics,
	qr/word \d|attack/i, 'nothing of a text anywhere');

###############################################################################

sub questions {
	my ($name) = @_;
	return map { JSON::PP->new->utf8->decode($_->{body}) } asked($name);
}

sub body {
	my ($text, $stream) = @_;
	return json({ model => 'm', max_tokens => 100, messages => [{ role => 'user', content => $text }],
		stream => $stream ? JSON::PP::true : JSON::PP::false });
}

# Response and audit line of a request for a stream that has this text in pieces of so many characters.
sub streamed {
	my ($t, $uri, $text, $cut, @lines) = @_;
	push @lines, 'X-API-Key: key-alice' unless grep { /^X-API-Key/ } @lines;
	return ask_for($t, $uri, body($text, 1), "X-Cut: $cut", @lines);
}

sub whole {
	my ($t, $uri, $text, @lines) = @_;
	return ask_for($t, $uri, body($text, 0), 'X-API-Key: key-alice', @lines);
}

# The text of a stream of chat completions.
sub said {
	my ($response) = @_;
	my @events = map { /^data: (\{.*)/ ? JSON::PP->new->decode($1) : () } split /\n/, http_content($response) // '';
	return join '', map { $_->{choices} && @{$_->{choices}} ? $_->{choices}[0]{delta}{content} // '' : () } @events;
}

# Whether the engine has been left in the middle of an answer since the last time.
sub left {
	my ($t) = @_;
	my $file = $t->testdir() . '/left';
	my $is_there = poll { -e $file };
	unlink $file;
	return $is_there;
}

###############################################################################

# An engine that says what it was told, in pieces of X-Cut characters.
sub engine {
	my ($port, $dir) = @_;
	my $server = IO::Socket::INET->new(Proto => 'tcp', LocalAddr => "127.0.0.1:$port", Listen => 16, ReuseAddr => 1)
		or die "Can't create listening socket: $!\n";
	local $SIG{PIPE} = 'IGNORE';
	local $SIG{CHLD} = 'IGNORE';
	while (1) {
		my $client = $server->accept() or next;
		my $pid = fork() // die "Can't fork: $!\n";
		if ($pid) {
			close $client;
			next;
		}
		answer_one($client, $dir);
		close $client;
		require POSIX;
		POSIX::_exit(0);
	}
}

sub answer_one {
	my ($client, $dir) = @_;
	my ($head, $body) = ('', '');
	while (<$client>) {
		last if /^\x0d?\x0a?$/;
		$head .= $_;
	}
	my ($length) = $head =~ /^Content-Length: (\d+)/mi;
	read $client, $body, $length if $length;
	my %of = map { /^X-(\w+): ([^\x0d\x0a]*)/i ? (lc $1 => $2) : () } split /\n/, $head;
	my $asked = eval { JSON::PP->new->decode($body) } // {};
	my $text = ($asked->{messages}[0]{content} // '') . ($of{adds} // '');
	my ($uri) = $head =~ m!^\w+ (/\S*)!;
	$client->autoflush(1);
	my $ok = $asked->{stream} ? stream($client, $uri, $text, \%of) : print $client document($text, \%of);
	return if $ok;
	open my $file, '>', "$dir/left" or die "Can't write: $!\n";
	close $file;
}

sub document {
	my ($text, $of) = @_;
	my $content = json({ id => 'c', object => 'chat.completion', model => 'm',
		choices => [{ index => 0, finish_reason => 'stop', message => { role => 'assistant', content => $text } }],
		usage => { prompt_tokens => 5, completion_tokens => 7, total_tokens => 12 } });
	my $lines = $of->{encoding} ? "Content-Encoding: $of->{encoding}\x0d\x0a" : '';
	return 'HTTP/1.1 ' . ($of->{status} // '200') . " It\x0d\x0aContent-Type: application/json\x0d\x0a${lines}Connection: close\x0d\x0a"
		. 'Content-Length: ' . length($content) . "\x0d\x0a\x0d\x0a" . $content;
}

sub chunk {
	return 'data: ' . json({ id => 'c', object => 'chat.completion.chunk', model => 'm', @_ }) . "\n\n";
}

# A piece of a flood. Each is another one: of a text that was judged before, nobody is asked again.
sub flood {
	my ($number) = @_;
	return sprintf 'more and more %05d ', $number;
}

# One with a piece of the text.
sub chunk_of {
	my ($piece) = @_;
	return chunk(choices => [{ index => 0, delta => { content => $piece }, finish_reason => undef }]);
}

# True, if all of it could be sent.
sub stream {
	my ($client, $uri, $text, $of) = @_;
	my $kind = $uri =~ /api/ ? 'application/x-ndjson' : 'text/event-stream';
	my @pieces = unpack '(a' . ($of->{cut} // 1000) . ')*', $text;
	my $string = sub { JSON::PP->new->allow_nonref->encode($_[0]) };
	my @events;
	if ($uri =~ /messages$/) {
		my $event = sub { "event: $_[0]\ndata: " . json({ type => $_[0], %{$_[1]} }) . "\n\n" };
		@events = ($event->('message_start', { message => { id => 'm', type => 'message', role => 'assistant', content => [],
			model => 'm', usage => { input_tokens => 5, output_tokens => 1 } } }),
			$event->('content_block_start', { index => 0, content_block => { type => 'text', text => '' } }),
			(map { 'event: content_block_delta' . "\n" . 'data: {"type":"content_block_delta","index":0,"delta":'
				. '{"type":"text_delta","text":' . $string->($_) . "}}\n\n" } @pieces),
			$event->('content_block_stop', { index => 0 }),
			$event->('message_delta', { delta => { stop_reason => 'end_turn' }, usage => { output_tokens => 7 } }),
			$event->('message_stop', {}));
	} elsif ($uri =~ /api/) {
		@events = ((map { json({ model => 'm', message => { role => 'assistant', content => $_ }, done => JSON::PP::false }) . "\n" }
			@pieces), json({ model => 'm', message => { role => 'assistant', content => '' }, done => JSON::PP::true,
			prompt_eval_count => 5, eval_count => 7 }) . "\n");
	} else {
		my $chunk = \&chunk;
		my $delta = \&chunk_of;
		my $count = ($of->{flood} // 0) / length chunk_of(flood(0));
		@events = ((map { $delta->($_) } @pieces), (map { chunk_of(flood($_)) } 1 .. $count),
			$of->{endless} ? ($delta->(' on and on')) x 3000 : (),
			$chunk->(choices => [{ index => 0, delta => {}, finish_reason => 'stop' }]),
			$chunk->(choices => [], usage => { prompt_tokens => 5, completion_tokens => 7, total_tokens => 12 }),
			"data: [DONE]\n\n");
	}
	print $client "HTTP/1.1 200 OK\x0d\x0aContent-Type: $kind\x0d\x0aConnection: close\x0d\x0a\x0d\x0a" or return 0;
	for (@events) {
		print $client $_ or return 0;
		# So that it notices that nobody listens.
		select undef, undef, undef, 0.002 if /on and on/;
	}
	return 1;
}

###############################################################################
