#!/usr/bin/perl

# The test library itself: whatever the other tests rely on must work with it, and with the
# original, on a plain nginx.

use warnings;
use strict;

use Test::More;

# Found by prove -I: either tests/lib or the original's.
use Test::Nginx qw/ :DEFAULT http_start http_end http_content /;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->has_daemon('cat')->plan(20);

my $conf = <<'EOF';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location / {
        }

        location /generation {
            return 200 FIRST;
        }

        location /upload {
            client_body_in_file_only clean;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /testdir {
            return 200 %%TESTDIR%%:%%PORT_8081%%;
        }
    }
}

EOF

$t->write_file_expand('nginx.conf', $conf);
$t->write_file('file', 'CONTENT');
$t->run_daemon(\&chunked_daemon, port(8081));
$t->run();
$t->waitforsocket('127.0.0.1:' . port(8081));

###############################################################################

# requests and responses

my $r = http_get('/file');
like($r, qr/^HTTP\/1\.1 200 OK/, 'status');
is(http_content($r), 'CONTENT', 'a file of the test directory');
unlike(http_head('/file'), qr/CONTENT/, 'head');
like(http_get('/missing'), qr/ 404 /, 'missing file');
is(http_content(undef), undef, 'no content of no response');

is(http_content(http_get('/testdir')), $t->testdir() . ':' . port(8081), 'expanded');
is(port(8081), port(8081), 'the same port each time');

my $s = http('GET /file HTTP/1.1' . "\n", start => 1);
is(http_content(http(<<EOF, socket => $s)), 'CONTENT', 'request in two parts');
Host: localhost
Connection: close

EOF

$s = http_start("GET /file HTTP/1.0\n\n");
is(http_content(http_end($s)), 'CONTENT', 'start and end');

# workers may write where a request's body goes, and a daemon's answer is unchunked

$r = http(<<EOF, sleep => 0.1, body => 'x' x 10);
POST /upload HTTP/1.1
Host: localhost
Connection: close
Content-Length: 10

EOF

like($r, qr/ 200 OK/, 'upload');
is(http_content($r), 'one and two', 'chunked');
is(http_content("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"),
	'one[no-last-chunk]', 'no last chunk');

# features

ok($t->has_module('map'), 'built by default');
ok(!$t->has_module('no_such_module'), 'not built');
ok($t->has_version('1.22.1'), 'this version');
ok(!$t->has_version('99.0'), 'no later one');

# reload: no request is lost, and the new configuration comes into force

is(http_content(http_get('/generation')), 'FIRST', 'before reload');
like($t->dump_config(), qr/return 200 FIRST/, 'configuration');

$conf =~ s/FIRST/SECOND/;
$t->write_file_expand('nginx.conf', $conf);
$t->reload();

my ($generation, $failed) = ('', 0);
for (1 .. 100) {
	$generation = http_content(http_get('/generation')) // '';
	last if $generation eq 'SECOND';
	$failed++ if $generation ne 'FIRST';
	select undef, undef, undef, 0.05;
}

is("$generation, $failed failed", 'SECOND, 0 failed', 'after reload');

# the access log is complete once nginx has stopped

$t->stop();
my $requests = () = $t->read_file('access.log') =~ m!"GET /file !g;
is($requests, 3, 'access log');

###############################################################################

# Answers with HTTP/1.1 and chunks, also where HTTP/1.0 is asked for: nginx understands both.

sub chunked_daemon {
	my ($port) = @_;

	my $server = IO::Socket::INET->new(
		Proto => 'tcp',
		LocalAddr => "127.0.0.1:$port",
		Listen => 5,
		ReuseAddr => 1
	)
		or die "Can't create listening socket: $!\n";

	while (my $client = $server->accept()) {
		while (<$client>) {
			last if /^\x0d?\x0a?$/;
		}

		print $client "HTTP/1.1 200 OK\x0d\x0a"
			. "Transfer-Encoding: chunked\x0d\x0a"
			. "Connection: close\x0d\x0a\x0d\x0a"
			. "3\x0d\x0aone\x0d\x0a"
			. "8;extension\x0d\x0a and two\x0d\x0a"
			. "0\x0d\x0a\x0d\x0a";

		close $client;
	}
}

###############################################################################
