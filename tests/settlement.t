#!/usr/bin/perl

# A request is settled, and its place free, when the last of its answer goes out: whatever nginx has to do
# for it after that (a mirror, a post_action), and before the client can send the next one. As long as the
# answer isn't complete, its place is taken.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header keys_file status/;
use Tollgate::Client;
use Tollgate::Engine qw/needs_engine start_engine completion/;
use Tollgate::H2;

use POSIX qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http http_v2 proxy mirror rewrite ssi cache/);
# Not every nginx is built with it.
my $has_addition = $t->has_module('addition');
$t->plan($has_addition ? 64 : 59);

my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    # Nothing is refilled while the test runs.
    tollgate_tier  one     { concurrency 1; }
    tollgate_tier  tokens  { tokens 300/d burst=100k; concurrency 1; }

    # So that nothing is learned of the input.
    tollgate_estimate   bytes_per_token=4 output=100;
    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    proxy_cache_path  %%TESTDIR%%/cache keys_zone=cache:1m;

    upstream kept {
        server     127.0.0.1:8083;
        keepalive  4;
    }

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        tollgate on;
        proxy_http_version  1.1;
        proxy_read_timeout  120s;

        location /v1/ {
            proxy_pass http://127.0.0.1:8081;
        }

        location /mirrored/ {
            mirror      /mirror;
            proxy_pass  http://127.0.0.1:8081/;
        }

        location /mirrored/unbuffered/ {
            mirror           /mirror;
            proxy_buffering  off;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /any/ {
            mirror      /mirror;
            proxy_pass  http://127.0.0.1:8083/;
        }

        location /any/unbuffered/ {
            mirror           /mirror;
            proxy_buffering  off;
            proxy_pass       http://127.0.0.1:8083/;
        }

        location /any/old/ {
            mirror              /mirror;
            proxy_http_version  1.0;
            proxy_pass          http://127.0.0.1:8083/;
        }

        location /any/gzip/ {
            mirror           /mirror;
            gzip             on;
            gzip_types       *;
            gzip_min_length  1;
            proxy_pass       http://127.0.0.1:8083/;
        }

        location /any/cached/ {
            mirror             /mirror;
            proxy_cache        cache;
            proxy_cache_valid  any 1h;
            proxy_pass         http://127.0.0.1:8083/;
        }

        location /any/page/ {
            mirror      /mirror;
            error_page  500 /page.html;
            proxy_intercept_errors  on;
            proxy_pass  http://127.0.0.1:8083/;
        }

        location /file/ {
            mirror  /mirror;
            alias   %%TESTDIR%%/;
        }

        location = /mirror {
            internal;
            tollgate    off;
            proxy_pass  http://127.0.0.1:8083/hang;
        }

        # The same policy as elsewhere: it must not be charged for it.
        location /acted/ {
            post_action  /act;
            proxy_pass   http://127.0.0.1:8081/;
        }

        location = /acted/given-up/v1/completions {
            post_action  /act;
            proxy_pass   http://127.0.0.1:8083/v1/completions?/hang;
        }

        location = /act {
            internal;
            proxy_set_header  X-Usage "$tollgate_usage $tollgate_input_tokens $tollgate_output_tokens";
            proxy_pass        http://127.0.0.1:8083/act;
        }

        # Not at its end yet.

        location /begun/ {
            proxy_buffering  off;
            proxy_pass       http://127.0.0.1:8083/begin;
        }

        location = /retried/begin {
            proxy_intercept_errors  on;
            error_page  500 = @other;
            proxy_pass  http://127.0.0.1:8083/500;
        }

        location @other {
            proxy_buffering  off;
            proxy_pass       http://127.0.0.1:8083;
        }

        location /redirected/ {
            proxy_pass  http://127.0.0.1:8083/accel;
        }

        location /internal/ {
            internal;
            proxy_buffering  off;
            proxy_pass       http://127.0.0.1:8083/;
        }

        location /ssi/ {
            ssi         on;
            ssi_types   *;
            alias       %%TESTDIR%%/;
        }

        # addition

        location /included {
            internal;
            proxy_pass  http://127.0.0.1:8083/begin;
        }

        location /ping {
            tollgate off;
            return 204;
        }
    }
}

EOC

my $addition = <<'EOC';
        location /added/ {
            add_after_body  /included;
            addition_types  *;
            alias           %%TESTDIR%%/;
        }
EOC

$conf =~ s/ +# addition\n/$addition/ if $has_addition;
$t->write_file_expand('nginx.conf', $conf);

my @clients = map { "c$_" } 1 .. 40;
$t->write_file('keys.json', keys_file(
	(map { { key => "key-$_", client => $_, tier => 'one' } } @clients),
	(map { { key => "key-$_", client => $_, tier => 'tokens' } } qw/mirrored acted left h2 many/),
));
$t->write_file('page.html', 'PAGE');
$t->write_file('empty.html', '');
$t->write_file('ssi.html', 'BEFORE <!--#include virtual="/included" --> AFTER');
start_engine($t, 8081);
$t->run_daemon(\&any_daemon, port(8083), $t->testdir());
$t->run();
$t->waitforsocket('127.0.0.1:' . port(8083));

my $dir = $t->testdir();
my $lines = 0;

###############################################################################

# A mirror that hangs is none of the client's business. With its first answer, the client finds its place
# free, and what it didn't use given back.

my $left = 100_000;
for my $uri (qw!/mirrored/v1/completions /mirrored/unbuffered/v1/completions!) {
	for my $stream (0, 1) {
		my $r = ask(completion(client => 'mirrored', uri => $uri, tokens => 20, max => 50, stream => $stream));
		is(status($r) . ' ' . header($r, 'x-ratelimit-remaining-tokens'), '200 ' . ($left - 1 - 4 - 50),
			"mirror, $uri, " . ($stream ? 'stream' : 'no stream'));
		$left -= 1 + 20;
		$lines++;
	}
}

for my $uri (qw!
	/any/length /any/unbuffered/length /any/chunked /any/unbuffered/chunked /any/old/length
	/any/gzip/length /any/gzip/chunked /any/empty /any/unbuffered/empty /any/204 /any/304 /any/404
	/any/page/500 /any/cached/length /any/cached/chunked /any/large /any/unbuffered/large
	/file/page.html /file/empty.html /file/none.html
!) {
	my $client = shift @clients;
	my ($expected) = $uri =~ /(\d{3})$/ ? $1 : $uri =~ /none/ ? 404 : 200;
	my @statuses;
	for my $method (qw/GET GET HEAD GET/) {
		my $connection = connection();
		my $r = $connection->ask(request("$method $uri", "X-API-Key: key-$client", 'Accept-Encoding: gzip'),
			head => $method eq 'HEAD');
		push @statuses, status($r);
		$lines++;
	}
	is("@statuses", join(' ', ($expected) x 4), "mirror, $uri");
}

# HTTP/2

my $h2 = Tollgate::H2->new(port(8082));
my @answers;
for my $stream (0, 1, 0, 1) {
	my $text = completion(client => 'h2', tokens => 5, max => 20, stream => $stream);
	my ($body) = $text =~ /\r\n\r\n(.*)/s;
	my $number = $h2->post('/mirrored/v1/completions', $body, 'x-api-key' => 'key-h2', 'x-mock-tokens' => 5);
	poll { $h2->receive(); $h2->{ended}{$number} };
	push @answers, ($h2->{data}{$number} // '') =~ /"choices"/ ? 'answer' : 'refusal';
	$lines++;
}
is("@answers", 'answer answer answer answer', 'mirror, HTTP/2');

# What is logged when the mirrors have come to their end, is what was charged; and it is charged once.

is(scalar(audit_lines($t, 'audit.log')), 0, 'nothing is logged yet');
release('hang');
my @lines = audit_lines($t, 'audit.log', $lines);
is(scalar @lines, $lines, 'one line each');
is(join(' ', map { "$_->{input_tokens}+$_->{output_tokens}" } grep { $_->{client} eq 'mirrored' } @lines),
	'1+20 1+20 1+20 1+20', 'with what was charged');
my $r = ask(completion(client => 'mirrored', uri => '/v1/completions', tokens => 20, max => 50));
is(header($r, 'x-ratelimit-remaining-tokens'), $left - 1 - 4 - 50, 'once');
hold('hang');

# One after the other, on a connection, and on new ones, which may be those of another worker.

my ($kept, %seen) = (connection());
for (1 .. 60) {
	$seen{status($kept->ask(completion(client => 'many', tokens => 2, max => 5))) // 'none'}++;
	$seen{status(ask(completion(client => 'many', tokens => 2, max => 5, stream => $_ % 2))) // 'none'}++;
}
is(join(' ', %seen), '200 120', 'one after the other: none refused');

# A post_action that hangs takes nothing, and holds nothing.

$left = 100_000;
hold('act');
for my $stream (0, 1) {
	$r = ask(completion(client => 'acted', uri => '/acted/v1/completions', tokens => 20, max => 50,
		stream => $stream));
	is(status($r) . ' ' . header($r, 'x-ratelimit-remaining-tokens'), '200 ' . ($left - 1 - 4 - 50),
		'post_action, ' . ($stream ? 'stream' : 'no stream'));
	$left -= 1 + 20;
}
poll { 2 == acts() };
is(join(', ', acts()), 'measured 1 20, measured 1 20', 'post_action: it is told what was charged');

# Where the client leaves before the answer is there, its input is charged, and its place free.

my $hanging = seen('hang POST');
my $connection = connection();
$connection->send(completion(client => 'left', uri => '/acted/given-up/v1/completions', max => 50));
poll { seen('hang POST') > $hanging };
$connection->close();
poll { 3 == acts() };
is((acts())[2], 'partial 5 0', 'post_action, a client that left');
$r = ask(completion(client => 'left', uri => '/v1/completions', tokens => 20, max => 50));
is(status($r) . ' ' . header($r, 'x-ratelimit-remaining-tokens'), '200 ' . (100_000 - 5 - 55),
	'post_action, a client that left: its place is free');
release('act');
# Other requests' lines may still be on their way: a client has its answer before nginx logs it.
poll { 3 == acted($t) };
is(join(', ', map { "$_->{usage} $_->{input_tokens} $_->{output_tokens}" }
	sort { $a->{client} cmp $b->{client} } acted($t)),
	'measured 1 20, measured 1 20, partial 5 0', 'post_action: logged as charged');
is(ask(completion(client => 'nobody', uri => '/acted/v1/completions')) =~ /401/ ? 401 : 0, 401,
	'post_action: refused');
poll { 4 == acted($t) };
is(scalar(acts()), 3, 'post_action: refused there, too');
is(join(' ', map { "$_->{decision} $_->{status}" } (acted($t))[3]), 'deny 401', 'post_action: logged as refused');

###############################################################################

# As long as something is to come, the place is taken.

for my $uri (qw!/begun/ /retried/begin /redirected/ /ssi/ssi.html!, $has_addition ? '/added/page.html' : ()) {
	my $client = shift @clients;
	my $key = "X-API-Key: key-$client";
	hold('begin');
	my $before = seen('begin');
	my $held = connection();
	$held->send(request($uri, $key));
	poll { seen('begin') > $before };
	ping();
	is(status(ask(request('/file/page.html', $key))), 429, "$uri: not at its end");
	release('begin');
	like($held->answer(), qr/BEGUN.*END/s, "$uri: the answer");
	is(status_when_free(request('/file/page.html', $key)), 200, "$uri: at its end");
	# The same if the client leaves.
	$client = shift @clients;
	$key = "X-API-Key: key-$client";
	hold('begin');
	$before = seen('begin');
	$held = connection();
	$held->send(request($uri, $key));
	poll { seen('begin') > $before };
	ping();
	is(status(ask(request('/file/page.html', $key))), 429, "$uri: not at its end, again");
	$held->close();
	is(status_when_free(request('/file/page.html', $key)), 200, "$uri: when its client has left");
	release('begin');
}

release($_) for qw/hang act begin/;
$_->close() for $h2, $kept;

###############################################################################

sub ask {
	my ($text) = @_;
	my $connection = connection();
	return $connection->ask($text) // '';
}

sub status_when_free {
	my ($text) = @_;
	my $status;
	poll { ($status = status(ask($text)) // 'none') ne '429' };
	return $status;
}

# The lines of requests that have a post_action.
sub acted {
	my ($test) = @_;
	return grep { ($_->{path} // '') =~ /acted/ } audit_lines($test, 'audit.log');
}

# What post_action was told.
sub acts {
	return map { /^act \S+ (.*)/ ? $1 : () } split /\n/, slurp("$dir/seen");
}

sub seen {
	my ($what) = @_;
	return scalar grep { /^\Q$what\E/ } split /\n/, slurp("$dir/seen");
}

sub slurp {
	my ($path) = @_;
	open my $file, '<', $path or return '';
	local $/;
	return scalar(<$file>) // '';
}

# Lets answers go on that wait.
sub release {
	my ($what) = @_;
	open my $file, '>', "$dir/release-$what" or die "Can't release: $!\n";
}

sub hold {
	my ($what) = @_;
	unlink "$dir/release-$what";
}

# Answers one request on each connection, in a process of its own.
sub any_daemon {
	my ($port, $dir) = @_;
	my $server = IO::Socket::INET->new(
		Proto => 'tcp', LocalAddr => "127.0.0.1:$port", Listen => 100, ReuseAddr => 1)
		or die "Can't create listening socket: $!\n";
	local $SIG{PIPE} = 'IGNORE';
	local $SIG{CHLD} = 'IGNORE';
	while (my $client = $server->accept()) {
		next if fork;
		any_answer($client, $dir);
		close $client;
		POSIX::_exit(0);
	}
}

sub any_answer {
	my ($client, $dir) = @_;
	my $head = '';
	while (<$client>) {
		last if /^\x0d?\x0a?$/;
		$head .= $_;
	}
	my ($method, $path) = $head =~ m!^(\S+) /(?:.*/)?(\S*) !;
	return unless defined $path;
	my ($usage) = $head =~ /^X-Usage: ([^\x0d]*)/mi;
	open my $file, '>>', "$dir/seen" or die;
	syswrite $file, join(' ', $path, $method, $usage // ()) . "\n";
	close $file;

	my $wait = sub {
		my ($what) = @_;
		# Whoever has left isn't waited for.
		until (-e "$dir/release-$what") {
			vec(my $readable = '', fileno($client), 1) = 1;
			POSIX::_exit(0) if select($readable, undef, undef, 0.02) && !sysread($client, my $some, 1);
		}
	};
	my ($status, @lines, $body) = ('200 OK');
	if ($path =~ /^(?:hang|act)$/) {
		read $client, my $sent, $1 if $head =~ /^Content-Length: (\d+)/mi;
		$wait->($path);
		$body = '';
	} elsif ($path =~ /^(?:length|500|404)$/) {
		$status = "$path Other" if $path ne 'length';
		$body = 'ENGINE';
	} elsif ($path eq 'large') {
		$body = 'ENGINE' x 50_000;
	} elsif ($path =~ /^(204|304)$/) {
		$status = "$1 Nothing";
	} elsif ($path eq 'empty') {
		$body = '';
	} elsif ($path eq 'accel') {
		push @lines, 'X-Accel-Redirect: /internal/begin';
		$body = '';
	} elsif ($path eq 'begin') {
		print $client "HTTP/1.1 200 OK\x0d\x0aConnection: close\x0d\x0aContent-Type: text/html\x0d\x0a\x0d\x0aBEGUN ";
		$client->flush();
		$wait->('begin');
		print $client 'END';
		return;
	}
	if ($path eq 'chunked') {
		push @lines, 'Transfer-Encoding: chunked';
		$body = "6\x0d\x0aENGINE\x0d\x0a0\x0d\x0a\x0d\x0a";
	} elsif (defined $body) {
		push @lines, 'Content-Length: ' . length $body;
	}
	$body = '' if $method eq 'HEAD' or !defined $body;
	print $client join("\x0d\x0a", "HTTP/1.1 $status", 'Connection: close', 'Content-Type: text/html', @lines,
		'', $body);
}

###############################################################################
