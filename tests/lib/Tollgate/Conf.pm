package Tollgate::Conf;

# What nginx -t says of a configuration. A case is an array:
#
#	['name', ['part of the message', ...], http => 'directives', location => ..., server => ...,
#		files => { 'name' => 'content' }, mode => 0600]
#
# (without messages for a configuration that is accepted). What it doesn't say is as in %usual. The
# line that a message must name ends in "# !".

use strict;
use warnings;

use Exporter qw/import/;
use Test::More;

our @EXPORT = qw/%usual check_refused check_accepted check_warned nginx_t/;

our %usual = (
	http => "tollgate_zone zone=tollgate:1m;\ntollgate_tier free { }",
	location => "tollgate on;\ntollgate_api_keys keys.json;",
);

# One test: refused, with a message that has all the parts, the place, a directive of that line, and
# nothing out of the keys files.
sub check_refused {
	my ($t, $case) = @_;
	my ($name, $message, %changes) = @$case;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($status, $output, $number, $line) = nginx_t($t, %changes);
	# An included file says it in its own line.
	my @place = defined $number ? "test.conf:$number" : ();
	my @missing = grep { !_has($output, $_) } '[emerg]', @$message, @place;
	push @missing, 'a failure' if $status == 0;
	my @directives = ('tollgate', ($line // '') =~ /(?:^|[;{])\s*([a-z_]+)/g);
	my @emerg = grep { /\[emerg\]/ } split /\n/, $output;
	push @missing, 'the directive'
		unless grep { my $directive = $_; grep { /\Q$directive\E/ } @emerg } @directives;
	push @missing, 'no secret' if $output =~ /tg_secret|tg_x{43}|sha256:aaaa|870MB6/;
	is(join(', ', @missing), '', "refused, $name") or diag("$output\nexit status $status");
}

# Two tests: accepted, and nothing to warn of.
sub check_accepted {
	my ($t, $case) = @_;
	my ($name, %changes) = @$case;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($status, $output) = nginx_t($t, %changes);
	is($status, 0, "accepted, $name") or diag($output);
	unlike($output, qr/\[(?:warn|emerg)\].*tollgate/, "accepted, $name, without a warning");
}

# One test: accepted, with a warning that has all the parts and the place.
sub check_warned {
	my ($t, $case) = @_;
	my ($name, $message, %changes) = @$case;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($status, $output, $number) = nginx_t($t, %changes);
	my @place = defined $number ? "test.conf:$number" : ();
	my @missing = grep { !_has($output, $_) } '[warn]', @$message, @place;
	push @missing, 'success' if $status != 0;
	is(join(', ', @missing), '', "warned, $name") or diag($output);
}

# Runs nginx -t: its exit status, what it prints, and number and text of the line that is marked.
sub nginx_t {
	my ($t, %changes) = @_;
	my ($http, $location, $server) = map { $changes{$_} // $usual{$_} // '' } qw/http location server/;
	my $dir = $t->testdir();

	my $conf = <<"EOC";
%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

$http

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location / {
$location
        }

$server
    }
}
EOC

	my $files = $changes{files} // {};
	for my $name (keys %$files) {
		$t->write_file($name, $files->{$name});
		chmod $changes{mode}, "$dir/$name" if defined $changes{mode};
	}
	$t->write_file_expand('test.conf', $conf);

	my (@marked, $number);
	for (split /\n/, $t->read_file('test.conf')) {
		$number++;
		@marked = ($number, $_) if /# !$/;
	}

	my $nginx = $ENV{TEST_NGINX_BINARY} // '../nginx/objs/nginx';
	my $log = $t->has_version('1.19.5') ? '-e error.log' : '';
	my $output = `$nginx -t -p $dir/ -c test.conf $log 2>&1`;
	return ($? >> 8, $output, @marked);
}

# A part of a message. A place is one only if no digit follows.
sub _has {
	my ($output, $part) = @_;
	return $output =~ /\Q$part\E(?!\d)/;
}

1;
