# "Container Control Operations". Usage: control.rb CUID ACTION…
require 'net/http'
require 'json'
require 'base64'

class ContainerManager
  def initialize(base_url, username, password)
    @base_url = base_url
    @auth = Base64.encode64("#{username}:#{password}").strip
  end

  def control_action(cuid, action)
    uri = URI("#{@base_url}/containers/#{cuid}/#{action}")
    http = Net::HTTP.new(uri.host, uri.port)
    request = Net::HTTP::Post.new(uri)
    request['Authorization'] = "Basic #{@auth}"
    request['Content-Type'] = 'application/json'
    response = http.request(request)
    JSON.parse(response.body)
  end

  def start(cuid)
    control_action(cuid, 'start')
  end

  def stop(cuid)
    control_action(cuid, 'stop')
  end

  def restart(cuid)
    control_action(cuid, 'restart')
  end

  def pause(cuid)
    control_action(cuid, 'pause')
  end

  def unpause(cuid)
    control_action(cuid, 'unpause')
  end
end

manager = ContainerManager.new(ENV['BASE_URL'], ENV['APP_USER'], ENV['APP_PASS'])
cuid, *actions = ARGV
actions.each { |action| puts "#{action}: #{manager.public_send(action, cuid).values_at('cuid', 'status', 'error').compact.join(' ')}" }
