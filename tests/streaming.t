#!/usr/bin/perl

# A stream is not delayed by reading it: what the engine has sent is with the client, also while the
# engine thinks about the rest, and also where a chunk has to be hidden.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/json keys_file/;
use Tollgate::Client;
use Tollgate::Engine qw/needs_engine start_engine stats/;
use Tollgate::Metered;

use JSON::PP qw//;
use Socket;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy http_v2/)->has_daemon('curl')->plan(100);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;
    tollgate_tier  open { tokens 100m/h; }

    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    # With a line for each buffer, nginx would be slower than the slow client.
    error_log  %%TESTDIR%%/error.log info;

    server {
        listen       127.0.0.1:8080 sndbuf=4k;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        tollgate on;
        proxy_http_version  1.1;

        location / {
            proxy_buffering  off;
            proxy_pass       http://127.0.0.1:8081;
        }

        # Goes on reading for long when the client's socket is full.
        location /roomy/ {
            proxy_buffering    off;
            proxy_buffer_size  16k;
            proxy_buffers      4 16k;
            proxy_pass         http://127.0.0.1:8081/;
        }

        location /buffered/ {
            proxy_buffer_size        4k;
            proxy_buffers            8 4k;
            proxy_busy_buffers_size  8k;
            proxy_pass               http://127.0.0.1:8081/;
        }

        location /tight/ {
            proxy_buffer_size           1k;
            proxy_buffers               2 1k;
            proxy_busy_buffers_size     1k;
            proxy_max_temp_file_size    0;
            proxy_pass                  http://127.0.0.1:8081/;
        }

        location /in-file/ {
            proxy_buffer_size           1k;
            proxy_buffers               2 1k;
            proxy_busy_buffers_size     1k;
            proxy_temp_file_write_size  1k;
            proxy_pass                  http://127.0.0.1:8081/;
        }
    }
}

EOC

$t->write_file('keys.json', keys_file({ key => 'key-open', client => 'acme', tier => 'open' }));
start_engine($t, 8081);
$t->run();

my $true = JSON::PP::true;
my @messages = (model => 'm', messages => [ { role => 'user', content => 'one two three' } ]);
my @completion = (model => 'm', prompt => 'one two three');
my $usage = { include_usage => $true };
my $chat = qr/^data: .*"content":"[^"].*\r?\n\r?\n/m;
my $ollama = qr/^.*"done":false.*\n/m;

# Path, body, a delta.
my %stream = (
	'chat, usage hidden' => ['/v1/chat/completions', { @messages, stream => $true }, $chat],
	'chat, usage asked for' => ['/v1/chat/completions',
		{ @messages, stream => $true, stream_options => $usage }, $chat],
	'completions, usage hidden' => ['/v1/completions', { @completion, stream => $true },
		qr/^data: .*"text":"[^"].*\r?\n\r?\n/m],
	responses => ['/v1/responses', { model => 'm', input => 'one two three', stream => $true },
		qr/^data: .*"type":"response.output_text.delta".*\r?\n\r?\n/m],
	messages => ['/v1/messages', { @messages, stream => $true, max_tokens => 1000 },
		qr/^data: .*"type":"text_delta".*\r?\n\r?\n/m],
	'Ollama chat' => ['/api/chat', { @messages }, $ollama],
	'Ollama generate' => ['/api/generate', { @completion }, $ollama],
	'TGI generate_stream' => ['/generate_stream', { inputs => 'one two three' },
		qr/^data:.*"token":.*\r?\n\r?\n/m],
);

###############################################################################

for my $name (sort keys %stream) {
	for my $lines ([], ['X-Mock-Split: 7'], ['X-Mock-Split: 1', 'X-Mock-Line-End: crlf'],
		['X-Mock-Comments: 1', 'X-Mock-Bom: 1']) {
		my @late;
		for my $deltas (1 .. 6) {
			my $seen = held($name, '', $deltas, $deltas, @$lines);
			push @late, "$seen of $deltas" if $seen != $deltas;
		}
		my $how = join ', ', map { s/X-Mock-//r } @$lines;
		is("@late", '', "each delta at once: $name $how");
	}

	# What nginx itself keeps back are buffers that aren't full.
	my $total = 400;
	my $size = length(delta($name)) or die "There is no delta\n";
	my $least = $total - int(8192 / $size) - 2;
	cmp_ok(held($name, '/buffered', $total, $least), '>=', $least, "buffered by nginx: $name");
}

# A delta that isn't whole passes, too: nothing of a chunk that will be shown waits for its end.

my $dribble = connection();
$dribble->send(post('/v1/chat/completions', { @messages, stream => $true }, 'X-API-Key: key-open',
	'X-Mock-Tokens: 1', 'X-Mock-Hold: 1', 'X-Mock-Line-End: cr'));
ok($dribble->peek(sub { (http_content($_[0]) // '') =~ /"content":"[^"][^\r]*\r\r/ }),
	'a delta whose end could go on with a line feed');
$dribble->close();

# A client that reads slowly gets all of it, in the right order, with buffers used over and over.

my ($uri, $body) = @{$stream{'chat, usage hidden'}};
my %shown;
for my $tokens (20, 60, 1000) {
	$shown{$tokens} = stable(http_content(ask(post($uri, { %$body, stream_options => $usage },
		"X-Mock-Tokens: $tokens"), port => 8081)));
	is($shown{$tokens} =~ s/^data: \{"choices":\[\],.*\n\n//m, 1, 'what is to be hidden');
	$shown{$tokens} =~ s/,"usage":null//g;
}
for my $place ('', qw!/roomy /buffered /tight /in-file!) {
	# Small pieces come one by one while the client's socket is full.
	for (
		[1000], [1000, 'X-Mock-Split: 97'],
		[20, 'X-Mock-Split: 1', 'X-Mock-Token-Delay-Ms: 5'],
		[60, 'X-Mock-Split: 7', 'X-Mock-Token-Delay-Ms: 2'],
		[60, 'X-Mock-Split: 20', 'X-Mock-Token-Delay-Ms: 2'],
	) {
		my ($tokens, @lines) = @$_;
		my $id = new_id();
		my $got = stable(http_content(slowly(post("$place$uri", $body, 'X-API-Key: key-open',
			"X-Request-ID: $id", "X-Mock-Tokens: $tokens", @lines))));
		my ($line) = audited($t, $id);
		ok($got eq $shown{$tokens}, "a slow client: $place @lines");
		is("$line->{usage} $line->{output_tokens}", "measured $tokens",
			"a slow client, measured: $place @lines");
	}
	my $got = curl('--http2-prior-knowledge', '--limit-rate', '1M', '-H', 'X-API-Key: key-open',
		'-H', 'X-Mock-Tokens: 1000', '-H', 'X-Mock-Split: 97', '--data-binary', json($body),
		'http://127.0.0.1:' . port(8082) . "$place$uri");
	ok(stable($got) eq $shown{1000}, "a slow client, HTTP/2: $place");
}
ok($t->read_file('error.log') =~ m/upstream response is buffered to a temporary file/,
	'some of it lay in a file');

###############################################################################

# How many deltas a client gets of so many, after which the engine does nothing more: as soon as there
# are $enough of them.
sub held {
	my ($name, $place, $deltas, $enough, @lines) = @_;
	my ($uri, $body, $delta) = @{$stream{$name}};
	my $connection = connection();
	$connection->send(post("$place$uri", $body, 'X-API-Key: key-open', "X-Mock-Tokens: $deltas",
		'X-Mock-Hold: 1', @lines));
	my $seen = 0;
	$connection->peek(sub {
		my $content = http_content($_[0]) // '';
		$seen = () = $content =~ /$delta/g;
		return $seen >= $enough;
	});
	# Is it really holding?
	$seen = -1 if stats(8081)->{active} == 0;
	$connection->close();
	poll { stats(8081)->{active} == 0 };
	return $seen;
}

# The response to a request, by a client with small buffers, that doesn't read before the engine is
# done, or can't go on.
sub slowly {
	my ($request) = @_;
	my $before = stats(8081);
	socket(my $socket, PF_INET, SOCK_STREAM, 0) or die "Can't make a socket: $!\n";
	setsockopt($socket, SOL_SOCKET, SO_RCVBUF, pack('l', 4096)) or die "Can't set SO_RCVBUF: $!\n";
	connect($socket, sockaddr_in(port(8080), INADDR_LOOPBACK)) or die "Can't connect: $!\n";
	syswrite $socket, $request;

	my $sent = -1;
	poll {
		my $stats = stats(8081);
		my $is_idle = $stats->{finished} > $before->{finished} || $stats->{tokens_sent} == $sent;
		$sent = $stats->{tokens_sent} if $stats->{started} > $before->{started};
		return $is_idle;
	};

	my $response = '';
	# Only a failing test waits so long.
	local $SIG{ALRM} = sub { die "The response does not end\n" };
	alarm 60;
	until ($response =~ /\r\n0\r\n\r\n\z/) {
		sysread($socket, $response, 65536, length $response) or last;
	}
	alarm 0;
	close $socket;
	return $response;
}

# A stream without what differs each time.
sub stable {
	my ($stream) = @_;
	return $stream =~ s/mock-\d+|"created":\d+//gr;
}

# One delta, from the engine itself.
sub delta {
	my ($name) = @_;
	my ($uri, $body, $delta) = @{$stream{$name}};
	my $content = http_content(ask(post($uri, $body, 'X-Mock-Tokens: 2'), port => 8081));
	return $content =~ /($delta)/ ? $1 : '';
}

###############################################################################
