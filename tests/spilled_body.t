#!/usr/bin/perl

# The body of a request that doesn't fit into memory is in a file of nginx's. It is open for as long as an
# upstream may still be asked, and not for as long as the answer streams; whoever needs it has it.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/json keys_file status/;
use Tollgate::Client;

use POSIX qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

plan(skip_all => 'no /proc') unless -d "/proc/$$/fd";

my $t = Test::Nginx->new()->has(qw/http proxy mirror cache/)->plan(41);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone       zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier       open { tokens 100m/h; }
    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    client_body_buffer_size  1k;
    proxy_cache_path  %%TESTDIR%%/cache keys_zone=cache:1m;

    upstream one_of_two {
        # Takes the whole request, and says nothing.
        server  127.0.0.1:8082;
        server  127.0.0.1:8081 backup;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        proxy_http_version  1.1;
        proxy_buffering     off;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /buffered/ {
            proxy_buffering  on;
            proxy_pass       http://127.0.0.1:8081/;
        }

        # Changed all over, and so in memory.
        location /changed/ {
            tollgate_include_usage  always;
            proxy_pass              http://127.0.0.1:8081/;
        }

        location /retried/ {
            proxy_next_upstream  error timeout non_idempotent;
            proxy_pass           http://one_of_two/;
        }

        location /intercepted/ {
            proxy_intercept_errors  on;
            error_page              500 = /other;
            proxy_pass              http://127.0.0.1:8081/error/;
        }

        location = /other {
            internal;
            proxy_method  POST;
            proxy_pass    http://127.0.0.1:8081/other/v1/chat/completions;
        }

        location /mirrored/ {
            mirror      /mirror;
            proxy_pass  http://127.0.0.1:8081/;
        }

        location = /mirror {
            internal;
            tollgate    off;
            proxy_pass  http://127.0.0.1:8081/mirror;
        }

        location /acted/ {
            post_action  /act;
            proxy_pass   http://127.0.0.1:8081/;
        }

        location = /act {
            internal;
            tollgate      off;
            proxy_method  POST;
            proxy_pass    http://127.0.0.1:8081/act;
        }

        location /cached/ {
            proxy_cache          cache;
            proxy_cache_methods  POST;
            proxy_cache_key      $uri;
            proxy_cache_valid    200 1s;
            proxy_cache_use_stale          updating;
            proxy_cache_background_update  on;
            proxy_buffering      on;
            proxy_pass           http://127.0.0.1:8081/;
        }
    }
}

EOC

$t->write_file('keys.json', keys_file({ key => 'key', client => 'acme', tier => 'open' }));
$t->run_daemon(\&engine, port(8081), $t->testdir());
$t->run_daemon(\&silent, port(8082), $t->testdir());
$t->run();
$t->waitforsocket('127.0.0.1:' . port($_)) for 8081, 8082;

my $dir = $t->testdir();
my @pids;
poll { @pids = workers($t) };
my $text = 'word ' x 20_000;
my $lines = 0;

###############################################################################

# What streams: open until the engine has answered.

for my $uri (map { "$_/v1/chat/completions" } '', qw!/buffered /changed /retried /intercepted!) {
	for my $asks (0, 1) {
		my $name = "$uri, " . ($asks ? 'asks for usage' : 'says nothing about it');
		my %body = (model => 'm', stream => JSON::PP::true(), messages => [{ role => 'user', content => $text }]);
		$body{stream_options} = { include_usage => $asks ? JSON::PP::true() : JSON::PP::false() }
			if $asks || $uri =~ /changed/;
		my ($connection, $number) = begin($uri, \%body);
		is(open_files(@pids), 1, "$name: before there is an answer");
		release("$number-head");
		poll { ($connection->peek(sub { $_[0] =~ /word/ }) // '') =~ /word/ };
		is(open_files(@pids), 0, "$name: while it streams");
		is(got($number), $text, "$name: the engine has it all");
		release("$number-end");
		$connection->answer();
		$connection->close();
		$lines++;
	}
}

###############################################################################

# Whoever comes later, has it: a mirror, a post_action, a renewal in the background.

for my $case (['/mirrored', 'mirror'], ['/acted', 'act']) {
	my ($uri, $later) = @$case;
	my %body = (model => 'm', messages => [{ role => 'user', content => $text }]);
	my $before = asked();
	my $connection = connection();
	$connection->send(post("$uri/v1/chat/completions", \%body));
	# The mirror is asked first.
	poll { asked() > $before };
	release("$_-head"), release("$_-end") for $before + 1 .. $before + 2;
	is(status($connection->answer()), 200, "$uri: answered");
	poll { asked() == $before + 2 };
	is(join(' ', sort map { path($_) } $before + 1 .. $before + 2), join(' ', sort 'completions', $later),
		"$uri: both are asked");
	is(got($_), $text, "$uri: " . path($_) . ' has it all') for $before + 1 .. $before + 2;
	$connection->close();
}

my %body = (model => 'm', messages => [{ role => 'user', content => $text }]);
my $before = asked();
release("$_-head"), release("$_-end") for $before + 1 .. $before + 40;
my $r;
poll {
	$r = ask(post('/cached/v1/chat/completions', \%body));
	asked() >= $before + 2;
};
is(status($r), 200, 'from a cache, renewed in the background');
is(got($before + 2), $text, 'from a cache: what renews it has it all');
poll { !open_files(@pids) };
is(open_files(@pids), 0, 'none is left open');

###############################################################################

sub post {
	my ($uri, $body) = @_;
	my $json = json($body);
	return request("POST $uri", 'X-API-Key: key', 'Content-Type: application/json',
		'Content-Length: ' . length $json) . $json;
}

sub ask {
	my ($text) = @_;
	my $connection = connection();
	return $connection->ask($text);
}

# Sends a request: its connection, and its number with the engine.
sub begin {
	my ($uri, $body) = @_;
	my $before = asked();
	my $connection = connection();
	$connection->send(post($uri, $body));
	poll { asked() > $before };
	my $number = $before + 1;
	# The first one is an error that leads to another one.
	if ($uri =~ /intercepted/) {
		poll { asked() > $number };
		$number++;
	}
	return ($connection, $number);
}

# The number of open files with bodies.
sub open_files {
	return scalar grep { (readlink($_) // '') =~ /client_body_temp/ } map { glob "/proc/$_/fd/*" } @_;
}

# How many requests the engine has got, to their last byte.
sub asked {
	return scalar(my (@files) = glob "$dir/got-*");
}

sub path {
	return (slurp("$dir/got-$_[0]") =~ /^(\S+)/)[0];
}

sub got {
	return (slurp("$dir/got-$_[0]") =~ /"content":"([^"]*)"/)[0];
}

sub slurp {
	my ($path) = @_;
	open my $file, '<', $path or return '';
	local $/;
	return scalar(<$file>) // '';
}

sub release {
	my ($what) = @_;
	open my $file, '>', "$dir/release-$what" or die "Can't release: $!\n";
}

# Takes a request, and closes the connection.
sub silent {
	my ($port) = @_;
	my $server = IO::Socket::INET->new(
		Proto => 'tcp', LocalAddr => "127.0.0.1:$port", Listen => 50, ReuseAddr => 1)
		or die "Can't create listening socket: $!\n";
	while (my $client = $server->accept()) {
		my $head = '';
		while (<$client>) {
			last if /^\x0d?\x0a?$/;
			$head .= $_;
		}
		read $client, my $body, $1 if $head =~ /^Content-Length: (\d+)/mi;
		close $client;
	}
}

# Answers as it is let, each request in a process of its own.
sub engine {
	my ($port, $dir) = @_;
	my $server = IO::Socket::INET->new(
		Proto => 'tcp', LocalAddr => "127.0.0.1:$port", Listen => 50, ReuseAddr => 1)
		or die "Can't create listening socket: $!\n";
	local $SIG{PIPE} = 'IGNORE';
	local $SIG{CHLD} = 'IGNORE';
	my $number = 0;
	while (my $client = $server->accept()) {
		my $head = '';
		while (<$client>) {
			last if /^\x0d?\x0a?$/;
			$head .= $_;
		}
		next unless $head =~ /^Content-Length: (\d+)/mi;
		read $client, my ($body), $1;
		my ($place, $path) = $head =~ m!^\S+ (/.*?)([^/ ]*) !;
		$number++;
		open my $file, '>', "$dir/new" or die;
		print $file "$path $body";
		close $file;
		rename "$dir/new", "$dir/got-$number" or die;
		if ($place =~ /error/) {
			print $client "HTTP/1.1 500 Error\x0d\x0aContent-Length: 0\x0d\x0aConnection: close\x0d\x0a\x0d\x0a";
			next;
		}
		if ($path ne 'completions') {
			print $client "HTTP/1.1 200 OK\x0d\x0aContent-Length: 0\x0d\x0aConnection: close\x0d\x0a\x0d\x0a";
			next;
		}
		next if fork;
		my $usage = '"usage":{"prompt_tokens":5,"completion_tokens":2}';
		my $is_stream = $body =~ /"stream":true/;
		select undef, undef, undef, 0.02 until -e "$dir/release-$number-head";
		print $client "HTTP/1.1 200 OK\x0d\x0aConnection: close\x0d\x0aContent-Type: "
			. ($is_stream ? 'text/event-stream' : 'application/json') . "\x0d\x0a\x0d\x0a";
		print $client qq(data: {"choices":[{"index":0,"delta":{"content":"word "}}]}\n\n) x 400 if $is_stream;
		$client->flush();
		select undef, undef, undef, 0.02 until -e "$dir/release-$number-end";
		print $client $is_stream ? qq(data: {"choices":[],$usage}\n\ndata: [DONE]\n\n)
			: qq({"choices":[{"index":0,"message":{"content":"word"}}],$usage});
		close $client;
		POSIX::_exit(0);
	}
}

###############################################################################
