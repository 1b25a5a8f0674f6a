#!/usr/bin/perl

# USR2: while a newer nginx takes over, the workers of both charge the same limits, to the end of the last
# stream of the old ones. So they do if the upgrade is called off.
#
# nginx obeys USR2 only if whoever started it is gone: so it is a daemon here.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get header keys_file status/;
use Tollgate::Client;
use Tollgate::Control;
use Tollgate::Engine;

use Fcntl qw/F_SETFD/;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy realip/)->plan(51);
my $d = $t->testdir();

my $conf = <<'EOF';

%%TEST_GLOBALS%%

daemon on;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;
    tollgate_control unix:%%TESTDIR%%/control.sock;

    tollgate_tier free { }
    tollgate_tier deep { tokens 100/d burst=10k; }
    tollgate_tier placed { addresses 1/h refuse; }
    tollgate_tier held { tokens 100/d burst=10k; concurrency 3; }

    set_real_ip_from  127.0.0.1;
    real_ip_header    X-Real-IP;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;
        proxy_buffering off;
        add_header X-Worker $pid always;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }
    }
}

EOF

$t->write_file('keys.json', keys_file(map { { key => "key-$_", client => $_, tier => $_ } } qw/deep held placed free/));
start_engine($t, 8081);

# What a test that is cut short would leave behind.
END {
	for my $name ('nginx.pid', 'nginx.pid.oldbin', 'other.pid') {
		my $path = ($d // next) . "/$name";
		open my $file, '<', $path or next;
		kill 'TERM', <$file> =~ /(\d+)/;
	}
}

###############################################################################

for my $state ('', " state=$d/state") {
	my $name = $state ? 'with a state' : 'without a state';
	unlink "$d/state";
	$t->write_file_expand('nginx.conf', $conf =~ s/:1m;/:1m$state;/r);
	$t->run();

	# The upgrade.
	my $used = 0;
	uses(\$used, "$name: before");
	my ($old_stream, $head) = hold(client => 'held', max => 100);
	my ($dropped) = hold(client => 'free');
	is(status(get('/v1/models', 'X-API-Key: key-placed', 'X-Real-IP: 10.0.0.1')), 200, "$name: the network of a key");
	my @old_workers = workers($t);
	my $old = upgrade($t);
	ok($old, "$name: a newer nginx") or next;
	my %is_old = map { $_ => 1 } @old_workers;

	# Both take requests.
	my %asked;
	poll { $asked{uses(\$used)}++; grep({ $is_old{$_} } keys %asked) && grep { !$is_old{$_} } keys %asked };
	ok((grep { $is_old{$_} } keys %asked) && (grep { !$is_old{$_} } keys %asked), "$name: both take requests");
	uses(\$used, "$name: and charge the same limit");

	is(answers(), 1, "$name: the socket of operators is that of both");

	# A place of an old worker counts in the new ones.
	kill 'WINCH', $old;
	ok((poll { !grep { is_accepting($t, $_) } @old_workers }), "$name: the old workers take no more");
	control("$d/control.sock", 'drop', client => 'free');
	ok(is_cut($dropped), "$name: a new worker has a request of an old one dropped");
	is(join(' ', map { status(get('/v1/models', 'X-API-Key: key-placed', "X-Real-IP: 10.0.$_.1")) } 1, 0), '403 200',
		"$name: the new workers know the networks of keys");
	my ($second) = hold(client => 'held', max => 100);
	my ($third) = hold(client => 'held', max => 100);
	is(status(complete(client => 'held', max => 1)), 429, "$name: places of both are counted together");

	# What an old stream takes is charged when it ends, and its place is free: 1 + 4 + 1 tokens.
	my $left = header($head, 'x-ratelimit-remaining-tokens');
	$old_stream->close();
	my $r;
	ok((poll { $r = complete(client => 'held', max => 1, tokens => 1); status($r) == 200 }),
		"$name: the end of an old stream frees its place");
	# Reserved by the three: 105 each; the first one is settled.
	is(header($r, 'x-ratelimit-remaining-tokens'), 10_000 - 6 - 2 * 105 - 6, "$name: and is charged");

	# The old one ends.
	kill 'QUIT', $old;
	poll { is_gone($old) };
	uses(\$used, "$name: the old one has ended");
	is(answers(), 1, "$name: the socket stays");
	$_->close() for $second, $third;

	# An upgrade that is called off: the new master ends, and the old workers come back.
	ok((poll { !-e "$d/nginx.pid.oldbin" }), "$name: nothing of the old one is left");
	my @workers = workers($t);
	my $again = upgrade($t);
	ok($again, "$name: upgraded again") or next;
	uses(\$used);
	my ($new) = $t->read_file('nginx.pid') =~ /(\d+)/;
	kill 'WINCH', $again;
	poll { !grep { is_accepting($t, $_) } @workers };
	uses(\$used, "$name: by the newest");
	kill 'HUP', $again;
	kill 'QUIT', $new;
	ok((poll { -e "$d/nginx.pid" && !-e "$d/nginx.pid.oldbin" }), "$name: called off");
	poll { status(complete(client => 'deep', max => 1, tokens => 1)) == 200 and $used += 2 };
	uses(\$used, "$name: the old one knows what the newest has charged");
	is(answers(), 1, "$name: called off: the socket is the old one's");

	if ($state) {
		# A worker of the old one is killed, one of the new one writes.
		my $old = upgrade($t);
		uses(\$used);
		kill 'QUIT', $old;
		poll { is_gone($old) };
		poll { !-e "$d/nginx.pid.oldbin" };
		uses(\$used);
		stop($t);
		$t->run();
		uses(\$used, "$name: and all of it is in the file");

		# Another size is another zone: that of the state.
		stop($t);
		$t->run();
		$t->write_file_expand('nginx.conf', $conf =~ s/:1m;/:2m$state;/r);
		$old = upgrade($t);
		ok($old, "$name: upgraded to another size");
		kill 'QUIT', $old;
		poll { is_gone($old) };
		uses(\$used, "$name: another size: what was in the file is known");
		stop($t);
		$t->run();
		uses(\$used, "$name: another size: and the file is that of the new one");
	}
	stop($t);
	ok(!-e "$d/control.sock", "$name: and ends with it");
}

# Memory that nobody uses any more is not what a newer nginx begins with, if there is a file.

{
	my $used = 0;
	$t->write_file_expand('nginx.conf', $conf =~ s/:1m;/:1m state=$d\/state;/r);
	unlink "$d/state";
	$t->run();
	uses(\$used) for 1 .. 3;
	$t->write_file_expand('nginx.conf', $conf =~ s/^    (?:tollgate_(?:zone|tier)|    tollgate).*\n//gmr);
	my $old = upgrade($t);
	kill 'QUIT', $old;
	ok((poll { is_gone($old) && !-e "$d/nginx.pid.oldbin" }), 'an nginx without a zone takes over');
	unlink "$d/state";
	$t->write_file_expand('nginx.conf', $conf =~ s/:1m;/:1m state=$d\/state;/r);
	$old = upgrade($t);
	kill 'QUIT', $old;
	poll { is_gone($old) && !-e "$d/nginx.pid.oldbin" };
	$used = 0;
	uses(\$used, 'the next one with a zone begins as the file says');
	stop($t);
}

# Nor is it what an nginx begins with that is nobody's successor, wherever it has the descriptor from.

{
	my $used = 0;
	$t->write_file_expand('nginx.conf', $conf);
	$t->run();
	my ($master) = $t->read_file('nginx.pid') =~ /(\d+)/;
	uses(\$used) for 1 .. 3;
	poll { workers($t) == 2 };
	is(join(' ', map { handed_on($_) } $master, workers($t)), 'yes no no', 'workers hand the zone on to nobody');
	my ($link) = zone_of($master);
	open my $memory, '+<', $link or die "Can't open $link: $!\n";
	fcntl $memory, F_SETFD, 0 or die "Can't change the descriptor: $!\n";
	$t->write_file('other.conf', $t->read_file('nginx.conf') =~ s/\bnginx\.pid/other.pid/r =~ s/:${\ port(8080)};/:${\ port(8083)};/r =~ s/control\.sock/other.sock/r);
	my @command = ($ENV{TEST_NGINX_BINARY} // $Test::Nginx::NGINX, '-p', "$d/", '-c', 'other.conf');
	push @command, '-e', 'error.log' if $t->has_version('1.19.5');
	is(system(@command), 0, 'another nginx of the same zone, started by somebody who has the first one\'s');
	poll { -s "$d/other.pid" };
	my $r = complete(client => 'deep', max => 1, tokens => 1, port => 8083);
	is(header($r, 'x-ratelimit-remaining-tokens'), 10_000 - 6, 'counts for itself');
	my ($other) = $t->read_file('other.pid') =~ /(\d+)/;
	kill 'TERM', $other;
	poll { is_gone($other) };
	uses(\$used);
	stop($t);
}

###############################################################################

# What leads to the memory of a process's zone.
sub zone_of {
	my ($pid) = @_;
	return grep { (readlink // '') =~ m!^/memfd:tollgate-zone:! } glob("/proc/$pid/fd/*");
}

# Whether a program would have it that this process starts.
sub handed_on {
	my ($pid) = @_;
	my ($number) = map { m!(\d+)$! } zone_of($pid) or return 'none';
	open my $file, '<', "/proc/$pid/fdinfo/$number" or return 'unknown';
	my ($flags) = join('', <$file>) =~ /^flags:\s*([0-7]+)/m;
	return oct($flags) & oct('02000000') ? 'no' : 'yes';
}

# Has a newer nginx started; the number of the old master, when all workers of the new one are there.
sub upgrade {
	my ($t) = @_;
	my ($old) = $t->read_file('nginx.pid') =~ /(\d+)/;
	# Before it has workers, it takes a signal for one that it has seen to.
	poll { workers($t) == 2 } or return;
	# Until its parent has ended, nginx takes no notice.
	poll { !is_child_of_nginx($old) } or return;
	kill 'USR2', $old;
	poll { -e "$d/nginx.pid.oldbin" && -s "$d/nginx.pid" && workers($t) == 2 } or return;
	return $old;
}

# A daemon is not waited for by the harness.
sub stop {
	my ($t) = @_;
	my ($pid) = $t->read_file('nginx.pid') =~ /(\d+)/;
	$t->stop();
	poll { is_gone($pid) } or die "nginx does not stop\n";
}

# Uses two tokens, of six that it reserves, and sees to it that nothing is forgotten, and nothing charged
# twice. The worker.
sub uses {
	my ($used, $name) = @_;
	my $r = complete(client => 'deep', max => 1, tokens => 1);
	my $left = header($r, 'x-ratelimit-remaining-tokens') // 'none';
	my $expected = 10_000 - $$used - 6;
	$$used += 2;
	if (defined $name or $left ne $expected) {
		local $Test::Builder::Level = $Test::Builder::Level + 1;
		is($left, $expected, $name // 'what is used counts');
	}
	return header($r, 'X-Worker') // 0;
}

# Whether somebody answers at the socket of operators.
sub answers {
	return (control("$d/control.sock", 'dropped', order => 999) // '') eq 'unknown_order' ? 1 : 0;
}

# Whether the connection of a stream ends.
sub is_cut {
	my ($connection) = @_;
	return !defined $connection->peek(sub { 0 }) && $connection->{ended};
}

# Whether a process still has the parent that started it as a daemon, or as the newer nginx.
sub is_child_of_nginx {
	my ($pid) = @_;
	open my $file, '<', "/proc/$pid/stat" or return 0;
	my ($parent) = (<$file> // '') =~ /^.*\) \S (\d+)/ or return 0;
	return (readlink("/proc/$parent/exe") // '') eq (readlink("/proc/$pid/exe") // 'none');
}

# Whether a process has ended. Whoever is to notice that it has may take his time.
sub is_gone {
	my ($pid) = @_;
	open my $file, '<', "/proc/$pid/stat" or return 1;
	return (<$file> // '') =~ /^.*\) (?:Z|X)/ ? 1 : 0;
}

###############################################################################
