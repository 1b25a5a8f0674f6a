package Tollgate::Cluster;

# Several nodes of a cluster, and its store: Redis, in its own process and without files.
#
#	my $t = Test::Nginx->new()->has(qw/http proxy/)->has_daemon('redis-server')->plan(1);
#	start_store($t);
#	start_node($t, a => 8080, cluster('a') . 'tollgate_tier ten { requests 10r/h; }');
#
# The engine of all nodes answers 200.

use strict;
use warnings;

use Exporter qw/import/;
use IO::Socket::INET;
use Test::More;
use Test::Nginx;
use Time::HiRes qw/sleep/;

use Tollgate qw/get_with status/;

our @EXPORT = qw/STORE_PORT start_store stop_store store cluster start_node node_pid speakers answer_of asks admitted let_in apart metrics_of knows_store has_told/;

use constant STORE_PORT => 8379;

# What is started as a node is a daemon: "on" or "off".
our $DAEMON = 'off';

# Starts the store, with these options of redis-server.
sub start_store {
	my ($t, @options) = @_;
	my $dir = $t->testdir();
	mkdir "$dir/store";
	unlink "$dir/store.pid";
	$t->run_daemon('redis-server', '--port', port(STORE_PORT), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no',
		'--dir', "$dir/store", '--logfile', "$dir/store.log", '--pidfile', "$dir/store.pid", @options);
	$t->waitforsocket('127.0.0.1:' . port(STORE_PORT)) or die "Can't start the store\n";
}

# The process of the store.
sub store_pid {
	my ($t) = @_;
	for (1 .. 250) {
		my ($pid) = (eval { $t->read_file('store.pid') } // '') =~ /^(\d+)/;
		return $pid if $pid;
		sleep 0.02;
	}
	die "The store has written no pid\n";
}

sub stop_store {
	my ($t, $signal) = @_;
	kill $signal // 'KILL', store_pid($t);
}

# What the store answers to a command: one line.
sub store {
	my (@words) = @_;
	my $socket = IO::Socket::INET->new(Proto => 'tcp', PeerAddr => '127.0.0.1:' . port(STORE_PORT)) or return '';
	$socket->print(join '', '*' . @words . "\r\n", map { '$' . length($_) . "\r\n$_\r\n" } @words);
	return scalar(<$socket>) // '';
}

# What makes an nginx a node.
sub cluster {
	my ($node, $parameters) = @_;
	$parameters //= 'expected_nodes=3';
	return "tollgate_cluster redis://127.0.0.1:@{[STORE_PORT]} node=$node $parameters;\n";
}

# Starts a node of this name, with these directives in http and in the server; $engine is where requests go, if not to
# one that always answers 200. The first one is the nginx of the test.
sub start_node {
	my ($t, $name, $port, $http, $server, $engine) = @_;
	$server //= '';
	my $endpoints = defined $engine ? '' : 'tollgate_endpoints +*:/*;';
	my $dir = $t->testdir();
	my $globals = $t->test_globals();
	my $globals_http = $t->test_globals_http();
	my $is_first = $name eq 'a';
	$globals =~ s/nginx\.pid/$name.pid/ unless $is_first;
	$globals_http =~ s{access\.log}{$name-access.log} unless $is_first;
	$globals_http =~ s{/(\w+_temp);}{/$name-$1;}g unless $is_first;
	$engine //= "http://unix:$dir/$name.sock";
	$server =~ s{%%TESTDIR%%/engine\.sock}{$dir/$name.sock}g;
	my $conf = <<"EOC";
$globals
daemon $DAEMON;
worker_processes 2;

events {
}

http {
    $globals_http

    tollgate_zone zone=tollgate:1m;
    $endpoints

    $http

    server {
        listen       127.0.0.1:$port reuseport;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys $dir/keys.json;
        tollgate_audit_log $dir/$name.log;
        $server

        proxy_buffering off;
        location / {
            proxy_pass $engine;
        }

        location /metrics {
            allow 127.0.0.1;
            deny all;
            tollgate off;
            tollgate_metrics;
        }
    }

    server {
        listen      unix:$dir/$name.sock;
        server_name engine;
        return      200 ENGINE;
    }
}
EOC
	$t->write_file_expand($is_first ? 'nginx.conf' : "$name.conf", $conf);
	if ($is_first) {
		$t->run();
		return;
	}
	my @log = $t->has_version('1.19.5') ? ('-e', 'error.log') : ();
	my $nginx = $ENV{TEST_NGINX_BINARY} // $Test::Nginx::NGINX;
	$t->run_daemon($nginx, '-p', "$dir/", '-c', "$name.conf", @log);
	$t->waitforfile("$dir/$name.pid") or die "Can't start node $name\n";
	$t->waitforsocket('127.0.0.1:' . port($port)) or die "Node $name does not listen\n";
}

# Its master.
sub node_pid {
	my ($t, $name) = @_;
	my ($pid) = $t->read_file($name eq 'a' ? 'nginx.pid' : "$name.pid") =~ /^(\d+)/;
	return $pid;
}

# Those of these processes whose thread speaks with the store.
sub speakers {
	return grep { my $pid = $_; grep { _line($_) =~ /^tollgate-store/ } glob("/proc/$pid/task/*/comm") } @_;
}

sub _line {
	my ($path) = @_;
	open my $file, '<', $path or return '';
	return scalar(<$file>) // '';
}

# The status of one request with this key to each of these ports in turn.
sub asks {
	my ($key, @ports) = @_;
	return map { status(answer_of($key, $_)) // 0 } @ports;
}

# The answer to one request.
sub answer_of {
	my ($key, $port, $uri) = @_;
	return get_with($uri // '/', { PeerAddr => '127.0.0.1:' . port($port) }, "Authorization: Bearer $key");
}

# How many of them are let in.
sub admitted {
	return scalar grep { $_ == 200 } asks(@_);
}

# Checks how many of them are let in: $limit, all of which is asked for. That is exact while these nodes hear the store. A
# node that hasn't heard it for a second, as one that is slow, gives away a share of its own and says so: then it is at
# most so many more. Gives how many there were.
sub let_in {
	my ($limit, $name, $key, @ports) = @_;
	$limit = 0 if $limit < 0;
	my ($alone, $lost) = apart(@ports);
	my $count = admitted($key, @ports);
	my ($alone_now, $lost_now) = apart(@ports);
	if ($lost_now == $lost && $alone_now == $alone) {
		is($count, $limit, $name);
	} else {
		cmp_ok($count, '<=', $limit + $alone_now - $alone, "$name (nodes were without the store)");
	}
	return $count;
}

# How many requests these nodes have let in by themselves, and for how long they were without the store.
sub apart {
	my %ports = map { $_ => 1 } @_;
	my ($alone, $lost) = (0, 0);
	for my $metrics (map { metrics_of($_) } keys %ports) {
		$alone += ($metrics =~ /^tollgate_cluster_alone(?:_total)? (\d+)$/m)[0] // die "No metrics\n";
		$lost += ($metrics =~ /^tollgate_cluster_lost_seconds(?:_total)? ([\d.]+)$/m)[0] // die "No metrics\n";
	}
	return ($alone, $lost);
}

# What the node counts.
sub metrics_of {
	my ($port) = @_;
	return http_get('/metrics', PeerAddr => '127.0.0.1:' . port($port)) // '';
}

# Waits until the node has told the store of all that it has let in by now: the second exchange from now on began after it.
sub has_told {
	my ($port) = @_;
	my $done = sub { (metrics_of($port) =~ /^tollgate_cluster_exchange_seconds_count\{result="done"\} (\d+)$/m)[0] // 0 };
	my $before = $done->();
	for (1 .. 500) {
		return 1 if $done->() >= $before + 2;
		sleep 0.02;
	}
	return 0;
}

# Waits until the node says that the store is there, or that it isn't.
sub knows_store {
	my ($port, $is_up) = @_;
	for (1 .. 500) {
		my ($up) = metrics_of($port) =~ /^tollgate_cluster_up (\d)$/m;
		return 1 if defined $up && $up == $is_up;
		sleep 0.02;
	}
	return 0;
}

1;
